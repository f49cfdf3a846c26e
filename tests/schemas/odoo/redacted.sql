SELECT partner_id, id, name FROM crm_lead WHERE partner_id IS NOT NULL
