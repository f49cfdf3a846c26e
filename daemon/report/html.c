/*
 * Writes a report as one file of HTML, for a screen and for A4.  It has no script, and needs no other file, so that it is
 * the same in ten years.  All values are escaped.  The heads of tables stand again on each page of paper.
 */
#include "report/report.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/version.h"
#include "report/words.h"

const char report_style[] =
	"@page{size:A4;margin:18mm 15mm}"
	"*{box-sizing:border-box}"
	"body{font:10.5pt/1.45 'DejaVu Sans',Arial,sans-serif;color:#1b1b1f;background:#fff;max-width:60rem;"
	"margin:2rem auto;padding:0 1rem}"
	"h1{font-size:18pt;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}"
	"h2{font-size:12.5pt;margin:1.6rem 0 .4rem;padding-top:.3rem;border-top:2px solid #1f4e79;"
	"break-after:avoid}"
	".state{border-left:4px solid #b35900;background:#fff4e5;padding:.5rem .8rem;margin:.6rem 0;font-weight:bold;"
	"-webkit-print-color-adjust:exact;print-color-adjust:exact}"
	".note{color:#4a4a52;margin:.3rem 0}"
	"table{border-collapse:collapse;width:100%;margin:.4rem 0}"
	"th,td{text-align:start;vertical-align:top;padding:.22rem .5rem;border-bottom:1px solid #c9c9d1;"
	"overflow-wrap:anywhere;white-space:pre-line}"
	"thead{display:table-header-group}"
	"thead th{background:#e8eef5;font-size:9pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}"
	"tbody th{width:32%;font-weight:normal;color:#4a4a52}"
	"tr{break-inside:avoid}"
	".number{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}"
	".sign{break-inside:avoid;margin-top:2rem}"
	".sign td{height:2.6rem}"
	"footer{margin-top:1.5rem;font-size:8.5pt;color:#4a4a52}"
	"@media print{body{margin:0;padding:0;max-width:none;font-size:9.5pt}}";

static void put(FILE *out, const char *text)
{
	const char *instead;

	for (size_t n; *text; text += n ? n : 1) {
		n = text_special(text, &instead);
		if (n > 0)
			(void)fputs(instead, out); /* who opened it asks whether it failed */
		else
			(void)fputc(*text, out);
	}
}

/* An element with a text and, where class is not NULL, a class. */
static void element(FILE *out, const char *name, const char *attributes, const char *text)
{
	(void)fprintf(out, "<%s%s>", name, attributes);
	put(out, text ? text : "");
	(void)fprintf(out, "</%s>\n", name);
}

/* A number of a record stands at the left, as the texts do. */
static void put_record(FILE *out, const struct report_table *t, size_t row)
{
	const char *const *cells = t->cells + row * t->n_columns;

	(void)fputs("<table>\n<tbody>\n", out);
	for (size_t i = 0; i < t->n_columns; i++)
		if (cells[i]) {
			(void)fputs("<tr>", out);
			element(out, "th", " scope=\"row\"", t->headings[i]);
			element(out, "td", "", cells[i]);
			(void)fputs("</tr>\n", out);
		}
	(void)fputs("</tbody>\n</table>\n", out);
}

static void put_rows(FILE *out, const struct report_table *t)
{
	static const char number[] = " class=\"number\"";

	(void)fputs("<table>\n<thead>\n<tr>", out);
	for (size_t i = 0; i < t->n_columns; i++)
		element(out, "th",
			t->is_number[i] ? " scope=\"col\" class=\"number\"" : " scope=\"col\"",
			t->headings[i]);
	(void)fputs("</tr>\n</thead>\n<tbody>\n", out);
	for (size_t row = 0; row < t->n_rows; row++) {
		(void)fputs("<tr>", out);
		for (size_t i = 0; i < t->n_columns; i++)
			element(out, "td", t->is_number[i] ? number : "",
				t->cells[row * t->n_columns + i]);
		(void)fputs("</tr>\n", out);
	}
	(void)fputs("</tbody>\n</table>\n", out);
}

static void put_table(FILE *out, const struct report_table *t)
{
	(void)fputs("<section>\n", out);
	element(out, "h2", "", t->title);
	if (t->note)
		element(out, "p", " class=\"note\"", t->note);
	for (size_t row = 0; t->is_record && row < t->n_rows; row++)
		put_record(out, t, row);
	if (!t->is_record && t->n_rows > 0)
		put_rows(out, t);
	(void)fputs("</section>\n", out);
}

/* Room for the signature of who files it. */
static void put_signature(FILE *out, const struct report_words *words)
{
	static const char *const lines[] = {N_("Name"), N_("Date"), N_("Signature")};

	(void)fputs("<section class=\"sign\">\n", out);
	element(out, "h2", "", report_say(words, N_("Read and filed by")));
	(void)fputs("<table>\n<tbody>\n", out);
	for (size_t i = 0; i < LENGTH(lines); i++) {
		(void)fputs("<tr>", out);
		element(out, "th", " scope=\"row\"", report_say(words, lines[i]));
		(void)fputs("<td></td></tr>\n", out);
	}
	(void)fputs("</tbody>\n</table>\n</section>\n", out);
}

void report_html(FILE *out, const struct report_view *view, const struct report_words *words)
{
	(void)fprintf(out,
		      "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
		      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
		      words->language);
	element(out, "title", "", view->title);
	(void)fprintf(out, "<style>%s</style>\n</head>\n<body>\n<main>\n", report_style);
	element(out, "h1", "", view->title);
	if (view->state)
		element(out, "p", " class=\"state\"", view->state);
	for (size_t i = 0; i < view->n_tables; i++)
		put_table(out, &view->tables[i]);
	put_signature(out, words);
	(void)fputs("</main>\n<footer>", out);
	put(out, "retentiond ");
	put(out, program_version);
	(void)fputs("</footer>\n</body>\n</html>\n", out);
}
