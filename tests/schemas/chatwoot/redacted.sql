SELECT v.contact_id, v.id, m.content FROM messages m JOIN conversations v ON v.id = m.conversation_id
UNION ALL
SELECT v.contact_id, v.id, a.fallback_title FROM attachments a JOIN messages m ON m.id = a.message_id
  JOIN conversations v ON v.id = m.conversation_id WHERE m.source_id IS NULL
