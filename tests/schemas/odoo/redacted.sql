SELECT partner_id, id, concat_ws(' ', name, description) FROM crm_lead WHERE partner_id IS NOT NULL
