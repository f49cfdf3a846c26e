/*
 * Runs one action from start to end: claim, check, list, validate, work, finish.  Started anew after a
 * crash, it goes on where the database says that it stood.
 */
#pragma once

#include "config/config.h"
#include "base/error.h"
#include "base/job_protocol.h"
#include "database/stop.h"

struct job_opts {
	const struct config *config;
	const char *host;
	const char *asked_by; /* --check: the user who has asked for a reload; NULL: nobody has */
	int id;
	int socket; /* --hand-out: its client's */
	bool once; /* give up on a database that stays away, instead of waiting */
	struct stop *stop;
	struct report *report;
};

/* Runs the job until it has ended, must stop, or needs a person. */
enum job_exit job_run(const struct job_opts *opts);

/*
 * The short modes, which do not use opts->id.  They return JOB_DONE, _REFUSED, _STOPPED or _AWAY.
 *
 * --check compares the configuration with the database, and tells the SQL functions about it.  Where the database was
 * restored from a backup, it begins the replay, if the configuration says so.
 * --test does the same for a person who has changed the configuration: it begins nothing, and the settings in force stay.
 * --expire removes the files of archives that a person deleted, or that archives.keep lets expire.
 * --measure reads what a monitoring system needs, and reports each value as a sample (base/metrics.h).
 * --answer does what people have asked for in retention.request.
 * --hand-out answers one request on opts->socket: an open file of an archive for a ticket, or the list of its files.
 */
enum job_exit mode_check_run(const struct job_opts *opts);
enum job_exit mode_test_run(const struct job_opts *opts);
enum job_exit mode_expire_run(const struct job_opts *opts);
enum job_exit mode_measure_run(const struct job_opts *opts);
enum job_exit mode_answer_run(const struct job_opts *opts);
enum job_exit mode_hand_out_run(const struct job_opts *opts);
