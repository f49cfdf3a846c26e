-- A service that has documents signed and bills for it, by a vendor from Belgium.  Its habits: names in camelCase, some French or
-- German; uuids; dates in milliseconds since 1970 beside timestamps; documents in bytea; jsonb with copies; a tenant's table that
-- everything references; staff and signers in one table with a role; enums for states; keys on half of the links.
CREATE TYPE envelope_state AS ENUM ('draft', 'sent', 'signed', 'declined', 'expired', 'cancelled');
CREATE TYPE person_role AS ENUM ('admin', 'sender', 'signer');
CREATE TABLE organisation (id uuid PRIMARY KEY, name text NOT NULL, "vatNumber" text, "billingEmail" text, street text, city text, "planCode" text, settings jsonb, "createdAt" bigint NOT NULL);
CREATE TABLE plan (code text PRIMARY KEY, label text NOT NULL, "priceCents" int NOT NULL, description text);
CREATE TABLE person (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL REFERENCES organisation, role person_role NOT NULL DEFAULT 'signer', email text NOT NULL, "firstName" text, "lastName" text, civilite text, "dateNaissance" date, "lieuNaissance" text,
	"numeroNational" char(11), "telephonePortable" text, langue varchar(2), "jobTitle" text, "avatar" bytea, "signatureImage" bytea, initials text, "passwordHash" text, "totpSecret" text, iban text, "idCardNumber" text, nationality varchar(2),
	position point, "lastSeenAt" bigint, "createdAt" bigint NOT NULL, "deletedAt" bigint, UNIQUE ("organisationId", email));
CREATE TABLE envelope (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL REFERENCES organisation, "personId" uuid NOT NULL REFERENCES person, "templateId" uuid, name text NOT NULL, message text, state envelope_state NOT NULL, "reference" text, "externalId" text,
	"declineReason" text, "createdAt" bigint NOT NULL, "completedAt" bigint, "expiresAt" bigint, "updatedAt" timestamptz NOT NULL, metadata jsonb);
CREATE INDEX ON envelope ("personId");
CREATE TABLE document (id uuid PRIMARY KEY, "envelopeId" uuid NOT NULL REFERENCES envelope, "fileName" text NOT NULL, "mimeType" text NOT NULL, "sizeBytes" bigint NOT NULL, sha256 bytea NOT NULL, content bytea, "pageCount" int, "ocrText" text, "createdAt" bigint NOT NULL);
CREATE TABLE "documentPage" (id uuid PRIMARY KEY, "documentId" uuid NOT NULL, "pageNumber" int NOT NULL, preview bytea, width int, height int);
CREATE TABLE field (id uuid PRIMARY KEY, "documentId" uuid NOT NULL, "recipientId" uuid, kind text NOT NULL, page int NOT NULL, x numeric, y numeric, label text, value text, "filledAt" bigint);
CREATE TABLE recipient (id uuid PRIMARY KEY, "envelopeId" uuid NOT NULL, "personId" uuid, email text NOT NULL, "displayName" text NOT NULL, phone text, "accessCode" text, "signingOrder" int, status text NOT NULL, "signedAt" bigint, "signedIp" text, "signedUserAgent" text, geo jsonb, "declineReason" text);
CREATE TABLE "signatureProof" (id uuid PRIMARY KEY, "recipientId" uuid NOT NULL REFERENCES recipient, certificate bytea NOT NULL, "certificateSubject" text NOT NULL, "signatureValue" bytea NOT NULL, algorithm text NOT NULL, "timestampToken" bytea, "createdAt" bigint NOT NULL);
CREATE TABLE "identityCheck" (id uuid PRIMARY KEY, "personId" uuid NOT NULL, provider text NOT NULL, "documentType" text, "documentNumber" text, "ausweisBild" bytea, selfie bytea, "geburtsort" text, result text NOT NULL, score numeric, payload jsonb, "checkedAt" bigint);
CREATE TABLE "auditTrail" (id bigserial PRIMARY KEY, "envelopeId" uuid NOT NULL, actor uuid, "actorName" text, event text NOT NULL, ip inet, "userAgent" text, latitude double precision, longitude double precision, details jsonb, at bigint NOT NULL);
CREATE TABLE reminder (id uuid PRIMARY KEY, "envelopeId" uuid NOT NULL REFERENCES envelope ON DELETE CASCADE, "recipientId" uuid REFERENCES recipient ON DELETE SET NULL, "sentTo" text NOT NULL, subject text, body text, "dueAt" bigint, "sentAt" bigint);
CREATE TABLE comment (id uuid PRIMARY KEY, "envelopeId" uuid NOT NULL, "authorId" uuid, text text NOT NULL, "createdAt" bigint NOT NULL);
CREATE TABLE attachment (id uuid PRIMARY KEY, "ownerType" text NOT NULL, "ownerId" uuid NOT NULL, "fileName" text, "storageKey" text, "mimeType" text, data bytea, "createdAt" bigint);
CREATE TABLE device (id uuid PRIMARY KEY, "personId" uuid NOT NULL REFERENCES person ON DELETE CASCADE, "deviceToken" text NOT NULL, platform text, model text, "osVersion" text, "appVersion" text, imei text, "macAddress" macaddr, "lastIp" inet, "createdAt" bigint);
CREATE TABLE session (sid text PRIMARY KEY, "personId" uuid, sess jsonb NOT NULL, expire timestamptz NOT NULL);
CREATE TABLE "apiKey" (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL, name text, "keyHash" text NOT NULL, "lastUsedAt" bigint);
CREATE TABLE "loginAttempt" (id bigserial PRIMARY KEY, "personId" uuid, email text, ip text, success boolean NOT NULL, at bigint NOT NULL);
CREATE TABLE consent (id uuid PRIMARY KEY, "personId" uuid NOT NULL REFERENCES person, purpose text NOT NULL, granted boolean NOT NULL, "ipAddress" text, at bigint NOT NULL);
CREATE TABLE "mandatSepa" (id uuid PRIMARY KEY, "personId" uuid NOT NULL, rum text NOT NULL, iban text NOT NULL, bic text, titulaire text NOT NULL, "dateSignature" date, actif boolean NOT NULL);
CREATE TABLE facture (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL REFERENCES organisation, "personId" uuid REFERENCES person ON DELETE SET NULL, numero text NOT NULL UNIQUE, "nomClient" text NOT NULL, "adresseClient" text, "totalCents" bigint NOT NULL, devise char(3) NOT NULL, statut text NOT NULL, pdf bytea, "emiseLe" date NOT NULL, "payeeLe" date);
CREATE TABLE "ligneFacture" (id uuid PRIMARY KEY, "factureId" uuid NOT NULL REFERENCES facture ON DELETE CASCADE, libelle text NOT NULL, quantite int NOT NULL, "prixCents" int NOT NULL);
CREATE TABLE paiement (id uuid PRIMARY KEY, "factureId" uuid NOT NULL, "montantCents" bigint NOT NULL, methode text NOT NULL, "derniersChiffres" char(4), "nomPorteur" text, "referenceBancaire" text, "recuLe" bigint);
CREATE TABLE relance (id uuid PRIMARY KEY, "factureId" uuid NOT NULL, niveau int NOT NULL, destinataire text NOT NULL, contenu text, "envoyeeLe" bigint);
CREATE TABLE notification (id bigserial PRIMARY KEY, "personId" uuid NOT NULL, kind text NOT NULL, payload jsonb NOT NULL, "readAt" bigint, "createdAt" bigint NOT NULL);
CREATE TABLE "contactList" (id uuid PRIMARY KEY, "ownerId" uuid NOT NULL, name text NOT NULL);
CREATE TABLE "contactListEntry" ("listId" uuid NOT NULL REFERENCES "contactList" ON DELETE CASCADE, "personId" uuid NOT NULL REFERENCES person ON DELETE CASCADE, PRIMARY KEY ("listId", "personId"));
CREATE TABLE adresse (id uuid PRIMARY KEY, "personId" uuid NOT NULL REFERENCES person, rue text, "codePostal" text, ville text, pays char(2), principale boolean);
CREATE TABLE template (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL REFERENCES organisation, name text NOT NULL, description text, content bytea, "createdAt" bigint);
CREATE TABLE webhook (id uuid PRIMARY KEY, "organisationId" uuid NOT NULL REFERENCES organisation, url text NOT NULL, secret text NOT NULL, events text[]);
CREATE TABLE "featureFlag" (key text PRIMARY KEY, enabled boolean NOT NULL, description text);
CREATE TABLE translation (id bigserial PRIMARY KEY, locale varchar(5) NOT NULL, key text NOT NULL, text text NOT NULL);
CREATE TABLE pays (code char(2) PRIMARY KEY, nom text NOT NULL, indicatif text);
CREATE TABLE migration (id serial PRIMARY KEY, name text NOT NULL, "runOn" timestamptz NOT NULL);
CREATE TABLE "jobQueue" (id bigserial PRIMARY KEY, queue text NOT NULL, payload jsonb NOT NULL, attempts int NOT NULL, "runAt" bigint);
