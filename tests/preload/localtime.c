/*
 * Another time of day, for LD_PRELOAD: localtime_r is shifted by the seconds that stand in the file
 * LOCALTIME_SHIFT, read at each call.  Every other clock goes right.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct tm *localtime_r(const time_t *timep, struct tm *result)
{
	static struct tm *(*real)(const time_t *, struct tm *);
	const char *path = getenv("LOCALTIME_SHIFT");
	FILE *file = path ? fopen(path, "re") : NULL;
	char text[32] = "0";
	time_t shifted;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "localtime_r");
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '0';
		(void)fclose(file); /* only read */
	}
	shifted = *timep + strtol(text, NULL, 10);
	return real(&shifted, result);
}
