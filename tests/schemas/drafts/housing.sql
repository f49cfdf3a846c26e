-- The customer service of a housing company, by a German vendor.  Its habits: German names; keys on half of the links, and links
-- that are called kunde_nr, vorgang or geaendert_von; a pair of a type and an id (bezug_art, bezug_id); dates in milliseconds since
-- 1970 and as text; jsonb with copies of ids; tenants in one table with staff, told by a role; a join table of further contacts.
CREATE TABLE mandant (mandant_id int PRIMARY KEY, firma text NOT NULL, iban text, support_mail text);
CREATE TABLE einstellung (schluessel text PRIMARY KEY, wert text, geaendert_ms bigint);
CREATE TABLE land (kuerzel char(2) PRIMARY KEY, bezeichnung text);
CREATE TABLE kategorie (kategorie_id int PRIMARY KEY, bezeichnung text, mandant_id int REFERENCES mandant);
CREATE TABLE kanal (kanal_id int PRIMARY KEY, bezeichnung text);
CREATE TABLE team (team_id int PRIMARY KEY, bezeichnung text, mandant_id int);
CREATE TABLE person (person_id bigint PRIMARY KEY, mandant_id int NOT NULL REFERENCES mandant, rolle text NOT NULL, anrede text, vorname text, nachname text NOT NULL,
  email text, telefon_privat text, mobil text, geburtsdatum date, iban text, steuer_id text, kennwort_hash text, notizen text, erstellt_am timestamptz NOT NULL,
  geaendert_ms bigint, aktiv boolean DEFAULT true, team_id int);
CREATE UNIQUE INDEX ON person (mandant_id, email);
CREATE TABLE anschrift (anschrift_id bigint PRIMARY KEY, person bigint NOT NULL REFERENCES person, strasse text, hausnummer text, plz text, ort text, land char(2) REFERENCES land);
CREATE TABLE objekt (objekt_id int PRIMARY KEY, mandant_id int, bezeichnung text, strasse text, plz text, ort text);
CREATE TABLE mietvertrag (vertrag_nr text PRIMARY KEY, kunde_nr bigint, objekt_id int REFERENCES objekt, beginn date, ende date, kaution numeric(10,2), kontoinhaber text, iban text);
CREATE TABLE zahlung (zahlung_id bigint PRIMARY KEY, vertrag_nr text REFERENCES mietvertrag, betrag numeric(10,2), verwendungszweck text, gebucht_ms bigint);
CREATE TABLE vorgang (vorgang_id bigint PRIMARY KEY, mandant_id int NOT NULL, primaer_kontakt_id bigint REFERENCES person, bearbeiter_id bigint REFERENCES person, kategorie_id int REFERENCES kategorie,
  kanal_id int, status text NOT NULL CHECK (status IN ('neu', 'in_bearbeitung', 'wartet', 'erledigt', 'geschlossen')), betreff text, beschreibung text, erstellt_am timestamptz, geaendert_am timestamptz, geschlossen_am timestamptz, prioritaet int);
CREATE TABLE vorgang_kontakt (vorgang_id bigint NOT NULL REFERENCES vorgang, person_id bigint NOT NULL REFERENCES person, rolle text, PRIMARY KEY (vorgang_id, person_id));
CREATE TABLE nachricht (nachricht_id bigint PRIMARY KEY, vorgang_id bigint NOT NULL REFERENCES vorgang ON DELETE CASCADE, absender_id bigint, absender_mail text, empfaenger text, betreff text, inhalt text, inhalt_html text, gesendet_ms bigint, richtung text);
CREATE TABLE nachricht_anhang (anhang_id bigint PRIMARY KEY, nachricht_id bigint REFERENCES nachricht, dateiname text, typ text, groesse int, daten bytea);
CREATE TABLE notiz (notiz_id bigint PRIMARY KEY, vorgang bigint, verfasser bigint REFERENCES person, text text, erstellt_am timestamptz);
CREATE TABLE anruf (anruf_id bigint PRIMARY KEY, vorgang_id bigint, person_id bigint, rufnummer text, dauer_s int, aufzeichnung_pfad text, beginn_ms bigint);
CREATE TABLE aufgabe (aufgabe_id bigint PRIMARY KEY, vorgang_id bigint REFERENCES vorgang, zugewiesen_an bigint REFERENCES person ON DELETE SET NULL, titel text, faellig date, erledigt boolean);
CREATE TABLE vorgang_verlauf (verlauf_id bigint PRIMARY KEY, vorgang_id bigint REFERENCES vorgang, feld text, alt text, neu text, geaendert_von bigint, geaendert_am timestamptz);
CREATE TABLE vorgang_tag (vorgang_id bigint REFERENCES vorgang, tag_id int, PRIMARY KEY (vorgang_id, tag_id));
CREATE TABLE tag (tag_id int PRIMARY KEY, name text);
CREATE TABLE dokument (dokument_id bigint PRIMARY KEY, titel text, inhalt bytea, hochgeladen_am timestamptz, aussteller text);
CREATE TABLE person_dokument (person_id bigint REFERENCES person, dokument_id bigint REFERENCES dokument, PRIMARY KEY (person_id, dokument_id));
CREATE TABLE einwilligung (einwilligung_id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES person, zweck text, erteilt_am timestamptz, ip inet, user_agent text);
CREATE TABLE anmeldung (anmeldung_id bigint PRIMARY KEY, person_id bigint, ip_adresse inet, user_agent text, zeitpunkt_ms bigint, erfolgreich boolean);
CREATE TABLE geraet (geraet_id bigint PRIMARY KEY, person_id bigint REFERENCES person, push_token text, modell text, zuletzt_ms bigint);
CREATE TABLE sitzung (sitzung_id uuid PRIMARY KEY, person_id bigint, daten jsonb, ablauf timestamptz);
CREATE TABLE kennwort_ruecksetzung (id bigint PRIMARY KEY, email text, token text, angefordert timestamptz);
CREATE TABLE benachrichtigung (id bigint PRIMARY KEY, empfaenger_id bigint, bezug_art text, bezug_id bigint, text text, gelesen boolean, erstellt timestamptz);
CREATE TABLE ereignis (ereignis_id bigint PRIMARY KEY, art text, nutzlast jsonb, zeitpunkt_ms bigint);
CREATE TABLE webhook_versand (id bigint PRIMARY KEY, ziel text, nutzlast jsonb, status int, zeit timestamptz);
CREATE TABLE protokoll (zeit timestamptz, benutzer_id bigint, tabelle text, zeile text, alt jsonb, neu jsonb, ip inet);
CREATE TABLE umfrage (umfrage_id int PRIMARY KEY, titel text, mandant_id int);
CREATE TABLE umfrage_antwort (umfrage_id int REFERENCES umfrage, person_id bigint REFERENCES person, note int, freitext text, PRIMARY KEY (umfrage_id, person_id));
CREATE TABLE newsletter_abo (email text PRIMARY KEY, angemeldet_am date, abgemeldet_am date);
CREATE TABLE import_lauf (lauf_id int PRIMARY KEY, datei text, gestartet timestamptz, fehler text, erstellt_von bigint);
CREATE TABLE import_zeile (lauf_id int REFERENCES import_lauf, zeile int, rohdaten text, person_id bigint, PRIMARY KEY (lauf_id, zeile));
CREATE TABLE zaehlerstand (stand_id bigint PRIMARY KEY, vertrag_nr text, abgelesen_am text, stand numeric, ableser text, foto bytea);
CREATE TABLE schadensmeldung (meldung_id bigint PRIMARY KEY, vorgang_id bigint REFERENCES vorgang, melder_id bigint REFERENCES person, raum text, schilderung text, foto bytea, breitengrad float8, laengengrad float8);
CREATE TABLE handwerker (handwerker_id int PRIMARY KEY, firma text, telefon text);
CREATE TABLE auftrag (auftrag_id bigint PRIMARY KEY, vorgang_id bigint, handwerker_id int REFERENCES handwerker, termin timestamptz, ansprechpartner text, ansprechpartner_tel text);
CREATE TABLE kontakt_zusammenfuehrung (id bigint PRIMARY KEY, alt_person_id bigint, neu_person_id bigint, zeit timestamptz);
