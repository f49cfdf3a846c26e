/*
 * Words for names.c, in lists by meaning; all in small letters, English before French.  A word also stands
 * for its plural.  Data and nothing else: a new word needs no other change.
 */
#pragma once

#include "discover/names.h"

struct word_list {
	enum name_kind kind;
	const char *words;
};

/* Harmless, if nothing else in the name decides. */
static const char harmless_words[] =
	"country, pays, iso, mime, segment, reason, motif, role, plan, "
	"gravity, severity, stage, etape, source";

/* If a column name has several of the words, the one of the highest kind decides. */
static const struct word_list word_lists[] = {
	/* Data of a person, or a way to reach one: an address, a number, a secret, a personal name. */
	{NAME_PERSON,
	 "mail, email, phone, telephone, tel, mobile, cell, cellphone, fax, whatsapp, skype, "
	 "facebook, twitter, instagram, linkedin, telegram, address, addr, street, city, town, "
	 "zip, zipcode, postcode, postal, latitude, longitude, lat, lng, lon, coordinates, "
	 "geolocation, location, birth, birthday, birthdate, born, dob, death, age, gender, sex, "
	 "salutation, nationality, ip, ipaddress, useragent, token, secret, password, passwd, "
	 "pwd, passphrase, otp, cookie, session, login, identifier, username, pseudo, pseudonym, "
	 "handle, nick, nickname, profile, passport, ssn, vat, iban, bic, loyalty, sender, "
	 "recipient, cc, bcc, firstname, lastname, surname, forename, fullname, middlename, "
	 "displayname, "
	 "courriel, téléphone, portable, gsm, telecopie, adresse, rue, voie, ville, commune, cp, "
	 "naissance, deces, sexe, civilite, nationalite, jeton, identifiant, profil, passeport, "
	 "nir, siret, siren, tva, rib, expediteur, destinataire, prenom, prénom, patronyme"},
	/* A file, or the place where it is stored. */
	{NAME_FILE,
	 "filename, file, path, url, uri, website, picture, photo, image, avatar, signature, "
	 "attachment, recording, blob, datas, "
	 "fichier, chemin"},
	/* Text that a person wrote. */
	{NAME_TEXT,
	 "note, remark, comment, body, content, subject, description, summary, resume, message, "
	 "text, html, transcript, snippet, feedback, answer, question, bio, biography, "
	 "remarque, commentaire, corps, contenu, sujet, objet, texte, reponse"},
	{NAME_HARMLESS, harmless_words},
};

/* Pairs of words that say more than each word alone, and so are looked up first. */
static const struct word_list pair_lists[] = {
	{NAME_PERSON,
	 "user agent, zip code, post code, postal code, code postal, tax id, tax code, vat id, "
	 "national id, device id, facebook id, twitter id, google id, apple id, secu sociale, "
	 "securite sociale, social security, api key, credit card, card number"},
	{NAME_FILE, "file name, nom fichier"},
	{NAME_HARMLESS,
	 "content type, mime type, time zone, byte size, file size, file type, service name"},
};

/* Words that make "name" or "nom" the name of a person. */
static const char of_persons[] =
	"first, last, full, given, family, middle, maiden, birth, user, nick, contact, customer, "
	"client, sender, recipient, author, caller, preferred, person, partner, display, famille, "
	"usage, jeune, fille, complet, patient, guest, legal, spouse, owner";

/*
 * The last word of an English name, or the first of a French one, which says that the column only
 * describes the rest: email_status, mail_count, type_adresse.
 */
static const char describing_words[] =
	"type, kind, status, state, count, counter, at, on, format, lang, language, locale, "
	"verified, enabled, flag, score, size, length, width, height, version, position, order, "
	"priority, level, mode, class, seconds, minutes, duration, confirmed, rate, statut, etat, "
	"nombre, nb, langue, niveau, priorite, duree, charset, encoding, checksum, percent, total, "
	"sort, rank, color, couleur, currency, devise, channel, canal, category, categorie, "
	"timezone, weekday, year, month, annee, mois, enum, method, direction";

/* The name of a person or a thing. */
static const char name_words[] = "name, nom";
static const char label_words[] = "name, nom, label, libelle";

/* A date of birth or death. */
static const char birth_words[] = "birth, birthday, birthdate, born, dob, naissance, death, deces";

/* Tables of the company's own people. */
static const char staff_tables[] =
	"user, agent, employee, staff, operator, team, admin, administrator, role, department, "
	"member, group, utilisateur, employe, equipe, service, inbox, mailbox, tenant, operateur";

/* Tables of things to choose from. */
static const char list_tables[] =
	"country, countrie, state, region, currency, currencie, language, lang, status, statuse, "
	"category, categorie, priority, priorite, tag, label, type, reason, stage, product, "
	"channel, pays, statut, devise, langue, brand, template, setting, title, queue, plan, "
	"event, class, table, host, produit, priorities";

/* Tables of tenants: one has many contacts, and staff of its own. */
static const char tenant_tables[] =
	"tenant, account, organization, organisation, workspace, realm, site, instance, entity, "
	"shop, store, project, company, entite, societe, boutique, espace";
