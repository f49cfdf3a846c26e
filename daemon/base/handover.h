/*
 * How retentiond gives the files of archives to the web page: both ends of the packets on archives.web_socket
 * (SOCK_SEQPACKET, so that a packet is whole or not there).  The page sends one packet, gets one, and closes.
 *
 *	take TICKET		64 hexadecimal digits: redeems a ticket of retention.ask_download() or ask_document()
 *	list JOB		the files of an action's archive
 *
 *	file DOWNLOAD BYTES NAME	and with it an open descriptor, for reading only
 *	files				then a line "BYTES NAME" for each file
 *	no REASON			the word of an enum handover_refusal; nothing was given
 *
 * Only names and sizes and the open file cross the socket: the page never learns a path, and has no right on a folder.
 * No side trusts the other.  A packet that makes no sense is an error at the page, and "no request" at the daemon.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HANDOVER_TICKET 32 /* bytes */
#define HANDOVER_MAX ((size_t)64 * 1024) /* bytes of a packet */

enum handover_refusal {
	HANDOVER_REQUEST, /* the request makes no sense */
	HANDOVER_TICKET_VOID, /* unknown, used, or older than a minute */
	HANDOVER_UNFINISHED, /* the action has no archive, or has not ended well */
	HANDOVER_DELETED, /* the archive was deleted, or the document's time is over */
	HANDOVER_ELSEWHERE, /* another host has it */
	HANDOVER_MISSING, /* the archive does not have that file, or it cannot be opened */
	HANDOVER_DAMAGED, /* its sums are not those that the journal has */
	HANDOVER_AWAY, /* the database or the disk fails, or the database is a copy */
	HANDOVER_REFUSALS
};

/* A request as the daemon reads it. */
struct handover_request {
	bool takes; /* else it lists */
	char ticket[2 * HANDOVER_TICKET + 1]; /* as hexadecimal digits */
	int job;
};

struct handover_file {
	char *name; /* letters, digits, "_", "." and "-" */
	int64_t bytes;
};

/* An answer as the page reads it; owned by the ctx of handover_parse(). */
struct handover_answer {
	bool given;
	enum handover_refusal refusal; /* where nothing was given */
	int download; /* of a file: its row in retention.download */
	struct handover_file *files; /* n_files; one for "take" */
	size_t n_files;
};

/* The text of a request; owned by ctx. */
char *handover_take(void *ctx, const unsigned char ticket[HANDOVER_TICKET]);
char *handover_list(void *ctx, int job);

/* Reads a request of n bytes; false: it makes no sense. */
bool handover_read_request(const char *packet, size_t n, struct handover_request *ret);

/* The text of an answer that gives a file; owned by ctx.  The others are "files" and lines, and handover_no(). */
char *handover_file(void *ctx, int download, int64_t bytes, const char *name);
const char *handover_no(enum handover_refusal refusal);

/* Adds a line to an answer that begins with "files". */
void handover_add(char **answer, int64_t bytes, const char *name);

/* Could it be the name of an archive's file?  So no path, and nothing that a header of HTTP would not carry. */
bool handover_is_name(const char *name);

/* Reads an answer of n bytes.  CONFIG: it makes no sense. */
bool handover_parse(void *ctx, const char *packet, size_t n, struct handover_answer *ret,
		    struct error *err);

/*
 * Sends a packet, with a descriptor unless fd is -1, and receives one.  Both wait as the socket's options say; a socket
 * that does not block gives ENVIRONMENT with errno EAGAIN.  handover_receive() returns the length, 0 at the end, or -1
 * with errno; *ret_fd is -1 or the caller's to close.
 */
bool handover_send(int socket, const char *packet, int fd, struct error *err);
ssize_t handover_receive(int socket, char packet[HANDOVER_MAX], int *ret_fd);
