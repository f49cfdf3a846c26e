/* The version that all programs print.  The Makefile reads it from conf/NEWS; base/version.sh writes it as C. */
#pragma once

extern const char program_version[]; /* "0.1" */
extern const char
	program_build[]; /* "0.1 (commit 0123abc)", or "0.1" where the commit is not known */
