-- The reference CRM, second half: foreign keys (NO ACTION), an index behind each, statistics.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET maintenance_work_mem = '256MB';

BEGIN;

CREATE UNIQUE INDEX contact_login_key ON crm.contact (login);
CREATE INDEX contact_email_idx ON crm.contact (email);
CREATE INDEX agent_team_id_idx ON crm.agent (team_id);
CREATE INDEX contact_social_contact_id_idx ON crm.contact_social (contact_id);
CREATE INDEX contact_document_contact_id_idx ON crm.contact_document (contact_id);
CREATE INDEX files_record_idx ON crm.files (record_id, record_type);
CREATE INDEX request_contact_id_idx ON crm.request (contact_id, created_at);
CREATE INDEX request_agent_id_idx ON crm.request (agent_id);
CREATE INDEX message_request_id_idx ON crm.message (request_id);
CREATE INDEX message_agent_id_idx ON crm.message (agent_id);
CREATE INDEX message_copy_message_id_idx ON crm.message_copy ("messageId");
CREATE INDEX attachment_message_id_idx ON crm.attachment (message_id);
CREATE INDEX request_transfer_request_id_idx ON crm.request_transfer (request_id);
CREATE INDEX request_transfer_from_team_idx ON crm.request_transfer (from_team);
CREATE INDEX request_transfer_to_team_idx ON crm.request_transfer (to_team);
CREATE INDEX status_change_request_id_idx ON crm.status_change (request_id);
CREATE INDEX status_change_agent_id_idx ON crm.status_change (agent_id);

ALTER TABLE crm.agent ADD FOREIGN KEY (team_id) REFERENCES crm.team;
ALTER TABLE crm.contact_social ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.contact_document ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.request ADD FOREIGN KEY (contact_id) REFERENCES crm.contact,
	ADD FOREIGN KEY (agent_id) REFERENCES crm.agent;
ALTER TABLE crm.message ADD FOREIGN KEY (request_id) REFERENCES crm.request,
	ADD FOREIGN KEY (agent_id) REFERENCES crm.agent;
ALTER TABLE crm.message_copy ADD FOREIGN KEY ("messageId") REFERENCES crm.message;
ALTER TABLE crm.attachment ADD FOREIGN KEY (message_id) REFERENCES crm.message;
ALTER TABLE crm.request_transfer ADD FOREIGN KEY (request_id) REFERENCES crm.request,
	ADD FOREIGN KEY (from_team) REFERENCES crm.team,
	ADD FOREIGN KEY (to_team) REFERENCES crm.team;
ALTER TABLE crm.status_change ADD FOREIGN KEY (request_id) REFERENCES crm.request,
	ADD FOREIGN KEY (agent_id) REFERENCES crm.agent;

COMMIT;

ANALYZE;
