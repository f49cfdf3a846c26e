/*
 * Words for names.c, in lists by meaning; all in small letters without accents, English before French, German and
 * Spanish.  A word also stands for its plural.  Two words also stand for the two without a separator: "user agent" is
 * "user_agent", "userAgent" and "useragent".  Data and nothing else: a new word needs no other change.
 */
#pragma once

#include "discover/names.h"

struct word_list {
	enum name_kind kind;
	const char *words;
};

/* Harmless, if nothing else in the name decides. */
static const char harmless_words[] =
	"country, iso, mime, segment, role, plan, gravity, severity, stage, source, "
	"pays, etape, "
	"land, herkunft, quelle, rolle, "
	"pais, origen, fuente, rol";

/* After a harmless word, they leave the name harmless: country_code. */
static const char code_words[] = "code, iso, key, short, cle, kennung, kuerzel, codigo";

/* Harmless beside another word; alone they can be a job or text that a person wrote. */
static const char doubtful_words[] = "position, label, libelle, bezeichnung, art, etiqueta";

/* Numbers and secrets of a person whose values are numbers too; other words of persons count things then: logins. */
static const char number_words[] =
	"phone, telephone, tel, mobile, cell, cellphone, fax, whatsapp, zip, zipcode, postcode, "
	"latitude, longitude, lat, lng, lon, coordinate, age, dob, ssn, otp, passport, pin, imei, imsi, msisdn, iban, "
	"ip, salary, income, "
	"nir, siret, siren, cp, salaire, revenu, cellulaire, coordonnee, "
	"telefon, telefonnummer, rufnummer, handy, handynummer, mobil, mobiltelefon, mobilnummer, plz, postleitzahl, alter, "
	"kontonummer, steuernummer, ausweisnummer, sozialversicherungsnummer, gehalt, breitengrad, laengengrad, koordinate, "
	"telefono, movil, celular, edad, dni, nie, nif, cedula, salario, curp, latitud, longitud, coordenada";

/* What a person is: personal as an enum or a number too. */
static const char trait_words[] =
	"gender, sex, salutation, nationality, marital, religion, ethnicity, disability, pronoun, civil, "
	"sexe, civilite, nationalite, matrimonial, handicap, "
	"geschlecht, anrede, staatsangehoerigkeit, nationalitaet, familienstand, konfession, "
	"sexo, genero, tratamiento, nacionalidad";

/* In or beside a pair of words of a person, they make it a number. */
static const char number_parts[] = "number, nummer, numero, num";

/* What a person is, described: marital_status. */
static const char state_words[] = "status, state, type, kind, statut, etat, typ, art, tipo, estado";

/* What opens an account.  Each is among the words of a person, too. */
static const char secret_words[] =
	"token, secret, password, passwd, pwd, passphrase, passcode, salt, jeton, kennwort, passwort, geheimnis, contrasena";
static const char secret_pairs[] =
	"api key, private key, access key, secret key, storage key, reply key, invite key, access code";

/* If a column name has several of the words, the one of the highest kind decides. */
static const struct word_list word_lists[] = {
	/* Data of a person, or a way to reach one: an address, a number, a secret, a personal name. */
	{NAME_PERSON, number_words},
	{NAME_PERSON, trait_words},
	{NAME_PERSON,
	 "mail, email, skype, facebook, twitter, instagram, linkedin, telegram, discord, mastodon, foursquare, tiktok, "
	 "snapchat, youtube, address, addr, street, city, town, postal, geo, geolocation, location, gps, birthplace, "
	 "useragent, token, secret, password, passwd, pwd, passphrase, passcode, salt, credential, cookie, session, "
	 "fingerprint, webauthn, profession, occupation, job, employer,  login, logon, identifier, username, pseudo, pseudonym, handle, nick, nickname, "
	 "initial, profile, vat, bic, loyalty, sender, recipient, cc, bcc, firstname, lastname, surname, "
	 "forename, fullname, middlename, displayname, signer, cardholder, participant, biometric, dna, diagnosis, allergy, "
	 "medication, "
	 "courriel, metier, employeur, portable, gsm, telecopie, adresse, rue, voie, ville, commune, jeton, identifiant, profil, "
	 "passeport, tva, rib, expediteur, destinataire, titulaire, porteur, prenom, patronyme, domicile, "
	 "signataire, empreinte, geolocalisation, diagnostic, allergie, "
	 "anschrift, beruf, arbeitgeber, strasse, hausnummer, ort, wohnort, stadt, postfach, geburtsort, vorname, nachname, familienname, "
	 "geburtsname, zuname, benutzername, anzeigename, spitzname, kurzname, kennwort, passwort, geheimnis, "
	 "absender, empfaenger, kontoinhaber, inhaber, unterzeichner, ausweis, personalausweis, reisepass, "
	 "fuehrerschein, krankenkasse, steuerid, standort, breitengrad, laengengrad, bankverbindung, blz, "
	 "unterschrift, ansprechpartner, kontaktperson, "
	 "correo, profesion, direccion, calle, ciudad, poblacion, municipio, apellido, contrasena, clave, usuario, apodo, "
	 "remitente, pasaporte, cuil, cuit, ubicacion, latitud, longitud, titular, firmante, firma, huella, domicilio"},
	/* A file, or the place where it is stored. */
	{NAME_FILE,
	 "filename, file, path, url, uri, web, website, picture, photo, image, avatar, selfie, portrait, signature, "
	 "attachment, recording, voicemail, blob, scan, thumbnail, "
	 "fichier, chemin, justificatif, "
	 "datei, dateiname, bild, foto, anhang, anlage, webseite, lichtbild, aufnahme, pfad, "
	 "archivo, fichero, adjunto, imagen, foto, grabacion, ruta"},
	/* Text that a person wrote. */
	{NAME_TEXT,
	 "note, remark, comment, body, content, subject, title, headline, description, summary, resume, message, text, "
	 "html, markdown, raw, cooked, excerpt, transcript, snippet, feedback, answer, question, bio, biography, about, alias, "
	 "value, data, datas, detail, payload, query, term, search, internal, modification, review, reply, quote, "
	 "remarque, commentaire, corps, contenu, sujet, objet, titre, texte, reponse, observation, avis, valeur, "
	 "precision, "
	 "bemerkung, anmerkung, kommentar, notiz, inhalt, betreff, titel, beschreibung, nachricht, antwort, frage, "
	 "hinweis, wert, daten, mitteilung, freitext, rohdaten, schilderung, anliegen, stellungnahme, vermerk, "
	 "nota, comentario, observacion, mensaje, contenido, asunto, titulo, descripcion, texto, cuerpo, respuesta, "
	 "pregunta, valor, dato, resumen"},
	{NAME_REASON, "reason, justification, cause, "
		      "motif, raison, "
		      "grund, begruendung, ursache, anlass, "
		      "motivo, razon, causa"},
	{NAME_HARMLESS, harmless_words},
};

/* Pairs of words that say more than each word alone, and so are looked up first. */
static const struct word_list pair_lists[] = {
	{NAME_PERSON,
	 "user agent, zip code, post code, postal code, tax id, tax code, tax number, vat id, vat number, national id, "
	 "national number, nhs number, passport number, id card, identity card, identity number, document number, "
	 "driver license, driving licence, license plate, number plate, device id, device token, push id, tracking id, "
	 "client ip, ip address, mac address, advertising id, facebook id, twitter id, google id, apple id, github id, "
	 "external uid, extern uid, provider uid, credential id, caller id, message id, reply to, sent to, social security, "
	 "social network, api key, public key, private key, access key, secret key, storage key, reply key, invite key, "
	 "key hash, key handle, tracking hash, access code, remote host, remote addr, credit card, card number, card holder, "
	 "account number, account holder, bank account, sort code, routing number, place birth, "
	 "code postal, secu sociale, securite sociale, numero secu, numero national, registre national, carte identite, "
	 "piece identite, permis conduire, plaque immatriculation, compte bancaire, numero compte, reference bancaire, "
	 "adresse ip, lieu naissance, numero fiscal, "
	 "steuer id, steuer nummer, konto nummer, telefon nummer, handy nummer, ausweis nummer, ip adresse, "
	 "versicherungs nummer, sozialversicherungs nummer, personal ausweis, kfz kennzeichen, "
	 "codigo postal, seguridad social, numero cuenta, cuenta bancaria, documento identidad, tarjeta credito, "
	 "direccion ip, lugar nacimiento, carnet conducir"},
	{NAME_FILE,
	 "file name, original name, nom fichier, datei name, nombre archivo, nombre fichero, stored path"},
	{NAME_TEXT, "in reply, user comment"},
	{NAME_HARMLESS,
	 "content type, mime type, time zone, byte size, file size, file type, service name, session duration, "
	 "data type, value type, profile view, out office"},
};

/* Long words that are personal at the end of a longer one too: lieferadresse, companyaddress. */
static const char suffix_words[] =
	"address, password, firstname, lastname, username, useragent, "
	"adresse, strasse, telefon, telefonnummer, handynummer, passwort, kennwort, vorname, nachname, "
	"unterschrift, kontonummer, geburtsdatum, geburtsort";

/* Words that make "name" or "nom" the name of a person, where they stand beside it. */
static const char of_persons[] =
	"first, last, full, given, family, middle, maiden, birth, user, nick, contact, customer, client, sender, "
	"recipient, author, actor, caller, preferred, person, partner, display, patient, guest, legal, spouse, owner, "
	"member, signer, holder, cardholder, visitor, reporter, participant, employee, applicant, "
	"famille, usage, jeune, fille, complet, auteur, titulaire, porteur, signataire, prenom, naissance, usuel, marital, "
	"kunde, kunden, benutzer, absender, empfaenger, inhaber, "
	"cliente, usuario, completo, titular, autor, remitente, destinatario, paciente, firmante";

/*
 * The last word of a name, which says that the column only describes the rest: email_status, mail_count.
 */
static const char describing_words[] =
	"type, kind, status, state, count, counter, at, on, format, lang, language, locale, "
	"verified, enabled, flag, score, size, length, width, height, version, position, order, "
	"priority, level, mode, class, seconds, minutes, duration, confirmed, rate, charset, encoding, checksum, percent, "
	"total, sort, rank, color, currency, channel, category, timezone, weekday, year, month, enum, method, direction, "
	"statut, etat, nb, langue, niveau, priorite, duree, couleur, devise, canal, categorie, annee, mois, "
	"typ, art, zustand, richtung, anzahl, sprache, farbe, waehrung, kanal, kategorie, dauer, jahr, monat, reihenfolge, "
	"tipo, estado, cantidad, idioma, nivel, moneda, categoria, duracion, mes, orden, prioridad";

/*
 * The first word of a name that only describes the rest: type_adresse, nb_mails, is_email.  An English noun does not,
 * because it describes what follows: order_email is an address, and status_message a text.
 */
static const char leading_words[] = "is, has, can, allow, enable, require, show, hide, "
				    "type, statut, etat, nb, langue, niveau, couleur, date, "
				    "anzahl, ist, hat, "
				    "tipo, estado, cantidad, idioma, tiene";

/* The name of a person or a thing. */
static const char name_words[] = "name, nom, nombre";
static const char label_words[] = "name, nom, nombre, label, libelle, bezeichnung";

/* A date of birth or death. */
static const char birth_words[] =
	"birth, birthday, birthdate, born, dob, death, deceased, "
	"naissance, deces, anniversaire, "
	"geburt, geburts, geburtsdatum, geburtstag, geboren, geburtsjahr, sterbedatum, todestag, "
	"nacimiento, fallecimiento, cumpleano, defuncion";

/* Parts of a date of birth: birth_year. */
static const char date_parts[] =
	"year, month, day, annee, mois, jour, jahr, monat, tag, mes, dia, on";

/* The state of a request. */
static const char state_columns[] =
	"status, state, stage, statut, etat, zustand, estado, phase, stufe, etape, etapa";

/* A state in which nothing happens any more. */
static const char closed_words[] =
	"closed, close, closing, resolved, solved, done, finished, completed, complete, completion, cancelled, canceled, "
	"rejected, declined, expired, spam, merged, archived, signed, ended, won, lost, settled, withdrawn, "
	"ferme, fermee, clos, close, cloture, cloturee, resolu, resolue, termine, terminee, annule, annulee, refuse, "
	"refusee, traite, traitee, gagne, perdu, archive, fermeture, "
	"geschlossen, erledigt, abgeschlossen, beendet, geloest, storniert, abgelehnt, archiviert, abgebrochen, gewonnen, "
	"verloren, "
	"cerrado, cerrada, resuelto, resuelta, terminado, terminada, finalizado, finalizada, cancelado, cancelada, anulado, "
	"anulada, rechazado, rechazada, completado, completada, archivado, ganado, perdido, cierre";

/* Beside a word of closed_words, they say that it is not so far: pending close, not done, closed_by. */
static const char open_words[] =
	"pending, awaiting, waiting, not, non, no, to, by, reason, partially, autoclose, auto, can, "
	"attente, pas, par, motif, partiellement, "
	"nicht, wartet, warte, ausstehend, teilweise, von, grund, noch, "
	"pendiente, sin, por, motivo, parcialmente";

/* Tables of the company's own people. */
static const char staff_tables[] =
	"user, agent, employee, staff, operator, team, admin, administrator, role, department, "
	"member, group, utilisateur, employe, salarie, collaborateur, equipe, groupe, service, inbox, mailbox, tenant, operateur, "
	"benutzer, mitarbeiter, bearbeiter, sachbearbeiter, gruppe, abteilung, rolle, postfach, "
	"usuario, empleado, agente, operador, equipo, grupo, departamento, rol";

/* Tables of things to choose from. */
static const char list_tables[] =
	"country, countrie, state, region, currency, currencie, language, lang, status, statuse, "
	"category, categorie, priority, priorite, tag, label, type, reason, stage, product, "
	"channel, pays, statut, devise, langue, brand, template, setting, title, queue, plan, "
	"event, class, table, host, produit, priorities, section, theme, forum, board, rubrique, etiquette, modele, parametre, motif, "
	"land, laender, sprache, waehrung, kategorie, prioritaet, typ, kanal, vorlage, einstellung, produkt, thema, "
	"pais, idioma, moneda, categoria, prioridad, estado, etiqueta, tipo, motivo, plantilla, producto";

/* Tables of tenants: one has many contacts, and staff of its own. */
static const char tenant_tables[] =
	"tenant, account, organization, organisation, workspace, realm, site, instance, entity, "
	"shop, store, project, company, entite, societe, boutique, espace, entreprise, organisme, agence, "
	"mandant, firma, unternehmen, niederlassung, filiale, "
	"empresa, organizacion, sociedad, tienda, sucursal";

/* Roles of contacts, and those that staff can have as well. */
static const char customer_words[] =
	"customer, client, contact, subscriber, requester, requestor, "
	"demandeur, abonne, usager, locataire, "
	"kunde, kontakt, mieter, antragsteller, auftraggeber, besteller, interessent, "
	"cliente, contacto, abonado, solicitante, inquilino";
static const char role_words[] =
	"author, owner, creator, recipient, sender, reporter, submitter, member, participant, user, "
	"person, guest, actor, editor, reviewer, approver, signer, uploader, inviter, invitee, "
	"auteur, createur, expediteur, destinataire, proprietaire, utilisateur, membre, redacteur, declarant, signataire, "
	"autor, verfasser, ersteller, absender, empfaenger, benutzer, melder, mitglied, teilnehmer, inhaber, "
	"creador, remitente, destinatario, usuario, miembro, participante, propietario, firmante";
/* The person who did something: created_by, geaendert_von. */
static const char by_words[] = "by, par, von, por";

/* What stands for "id" behind the name of what it numbers: kunde_nr. */
static const char number_ends[] = "nr, nummer, number, no, num, numero, nro";

/* What stands for "type" in a pair of a type and an id: bezug_art. */
static const char type_words[] =
	"type, model, class, typ, art, klasse, modell, classe, modele, tipo, clase, modelo";

/* A column that tells staff from contacts, surely, or if its values do. */
static const char staff_roles[] = "role, rolle, rol";
static const char staff_kinds[] =
	"type, kind, category, class, categorie, typ, art, kategorie, klasse, tipo, categoria, clase";

/* Those of staff_tables whose rows are people. */
static const char staff_people[] = "user, agent, employee, staff, operator, admin, administrator, "
				   "utilisateur, employe, salarie, collaborateur, operateur, "
				   "benutzer, mitarbeiter, bearbeiter, sachbearbeiter, "
				   "usuario, empleado, agente, operador";

/* Values by which a table of people tells staff from contacts. */
static const char staff_values[] =
	"staff, admin, administrator, agent, employee, operator, moderator, superuser, superadmin, "
	"manager, internal, technician, supervisor, "
	"administrateur, employe, salarie, collaborateur, interne, gestionnaire, technicien, conseiller, moderateur, "
	"mitarbeiter, mitarbeiterin, sachbearbeiter, sachbearbeiterin, bearbeiter, betreuer, verwalter, techniker, intern, "
	"empleado, agente, administrador, operador, gestor, tecnico, interno";
static const char customer_values[] =
	"customer, client, contact, guest, visitor, subscriber, consumer, patient, buyer, lead, "
	"enduser, external, prospect, tenant, policyholder, "
	"externe, locataire, abonne, usager, visiteur, adherent, assure, "
	"kunde, mieter, interessent, gast, besucher, extern, endkunde, versicherter, "
	"cliente, inquilino, abonado, paciente, visitante, externo";

/* Dates, as one word without its number: the best come first.  The last use of a row; then, when it was made. */
static const char used_dates[] =
	"lastactivityat, lastactivity, lastactive, lastpostat, derniereactivite, letzteaktivitaet, ultimaactividad, "
	"closedat, dateclosed, resolvedat, fermele, clotureele, cloturele, dateclot, datecloture, geschlossenam, abgeschlossenam, "
	"erledigtam, beendetam, cerradoen, fechacierre, "
	"updatedat, updateat, updatedon, updatetime, modifiedat, modifiedon, datemodified, datemod, modifiedtime, lastmodified, "
	"dateupdated, mtime, modifiele, misajourle, datemodification, geaendertam, geaendert, aktualisiertam, aenderungsdatum, "
	"actualizadoen, modificadoen, fechaactualizacion, fechamodificacion";
static const char made_dates[] =
	"createdat, createat, createdate, createddate, created, createdon, createdtime, createtime, creationdate, creationtime, "
	"datecreated, dateadded, dateentered, registeredat, registerdate, joinedat, "
	"datecreation, creele, inscritle, dateinscription, "
	"erstelltam, erstellt, angelegtam, angelegt, erfasstam, registriertam, erstellungsdatum, anlagedatum, "
	"creadoen, fechacreacion, fechaalta, registradoen, "
	"timestamp, unixtimestamp, ctime";
