-- The work list is written in one statement, by the job whose row the same transaction updates, and rows of the
-- journal are never deleted: a foreign key asked for each of its lines costs a third of the listing, and can find
-- nothing.
ALTER TABLE retention.candidate DROP CONSTRAINT candidate_job_fkey;
