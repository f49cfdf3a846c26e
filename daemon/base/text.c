#include "base/text.h"

#include <string.h>

void text_trim(char *text)
{
	for (char *end = text + strlen(text); end > text && end[-1] == '\n'; end--)
		end[-1] = '\0';
}

void text_one_line(char *text)
{
	for (text += strcspn(text, "\n\r\t"); *text; text += strcspn(text, "\n\r\t"))
		*text = ' ';
}

size_t text_index(const char *word, const char *const *list, size_t n)
{
	size_t i = 0;

	while (i < n && strcmp(word, list[i]) != 0)
		i++;
	return i;
}
