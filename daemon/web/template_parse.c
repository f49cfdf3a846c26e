/*
 * The parser keeps the sections that are open on a stack.  Sentences are checked in both languages at once: a brace
 * that a translation lost is found at start, not by a reader.
 */
#include "base/text.h"
#include "web/template_state.h"
#include "web/words.h"

#define MOST_SECTIONS 16 /* sections in sections */
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz_" DIGITS

struct parser {
	void *ctx;
	const char *page;
	int line;
	const char *open[MOST_SECTIONS]; /* the names of the sections */
	struct node **end[MOST_SECTIONS + 1]; /* where the next node of each level goes */
	int depth;
	struct error *err;
};

static bool wrong(struct parser *p, const char *what, const char *text)
{
	return fail(p->err, ERR_CONFIG, "template %s:%d: %s \"%.60s\"", p->page, p->line, what,
		    text);
}

static struct node *add(struct parser *p, enum node_kind kind)
{
	struct node *node = t_zero(p->ctx, struct node);

	node->kind = kind;
	node->line = p->line;
	*p->end[p->depth] = node;
	p->end[p->depth] = &node->next;
	return node;
}

static bool is_name(const char *text)
{
	return *text && strspn(text, NAME_LETTERS) == strlen(text);
}

/* Splits "name|filter" in place. */
static bool split_filter(char *text, const char **ret_name, const char **ret_filter)
{
	char *bar = strchr(text, '|');

	if (bar)
		*bar++ = '\0';
	*ret_name = text;
	*ret_filter = bar;
	return is_name(text) && (!bar || words_knows(bar));
}

bool template_place(void *ctx, const char *text, struct place *ret)
{
	const size_t n = strcspn(text, "}");

	ret->n = n + 1;
	return text[n] == '}' &&
	       split_filter(t_printf(ctx, "%.*s", (int)n - 1, text + 1), &ret->name, &ret->filter);
}

static bool check_places(struct parser *p, const char *sentence)
{
	struct place place;

	for (const char *s = sentence; *s; s++) {
		if (*s == '}')
			return wrong(p, "a brace without its pair in", sentence);
		if (*s != '{')
			continue;
		if (!template_place(p->ctx, s, &place))
			return wrong(p, "an unknown name or filter in", sentence);
		s += place.n - 1;
	}
	return true;
}

static bool check_sentence(struct parser *p, const char *one, const char *many)
{
	static const char *const names[] = {"fr", "en"};

	for (size_t i = 0; i < LENGTH(names); i++) {
		const struct language *l = language_named(names[i]);

		if (!many ? !check_places(p, language_text(l, one))
			  : !check_places(p, language_plural(l, one, many, 1)) ||
				    !check_places(p, language_plural(l, one, many, 2)))
			return false;
	}
	return true;
}

/* Takes a quoted string with \" in it off the text; NULL: there is none. */
static char *take_quoted(void *ctx, const char **text)
{
	char *out = t_strdup(ctx, "");
	const char *t = *text + strspn(*text, " \n");

	if (*t++ != '"')
		return NULL;
	for (; *t != '"'; t++) {
		if (*t == '\\')
			t++;
		if (!*t)
			return NULL;
		t_append(&out, "%c", *t);
	}
	*text = t + 1;
	return out;
}

/* Parses what follows "_": "sentence", or: number "one" "many". */
static bool parse_sentence(struct parser *p, const char *text)
{
	struct node *node = add(p, NODE_SENTENCE);
	const char *t = text + strspn(text, " ");
	const size_t n = strspn(t, NAME_LETTERS);

	if (n > 0)
		node->name = t_printf(p->ctx, "%.*s", (int)n, t);
	t += n;
	node->text = take_quoted(p->ctx, &t);
	if (n > 0 && node->text)
		node->many = take_quoted(p->ctx, &t);
	if (!node->text || *t || (n > 0 && !node->many))
		return wrong(p, "not a sentence:", text);
	return check_sentence(p, node->text, node->many);
}

static bool open_section(struct parser *p, enum node_kind kind, const char *name)
{
	struct node *node = add(p, kind);

	if (!is_name(name))
		return wrong(p, "not a name:", name);
	if (p->depth == MOST_SECTIONS)
		return wrong(p, "too many sections around", name);
	node->name = name;
	p->open[p->depth++] = name;
	p->end[p->depth] = &node->first;
	return true;
}

static bool close_section(struct parser *p, const char *name)
{
	if (p->depth == 0 || strcmp(p->open[p->depth - 1], name) != 0)
		return wrong(p, "not the end of the section that is open:", name);
	p->depth--;
	return true;
}

/* Parses what stands between "{{" and "}}". */
static bool parse_tag(struct parser *p, char *tag)
{
	struct node *node;

	switch (*tag) {
	case '#':
		return open_section(p, NODE_EACH, tag + 1);
	case '?':
		return open_section(p, NODE_IF, tag + 1);
	case '^':
		return open_section(p, NODE_UNLESS, tag + 1);
	case '/':
		return close_section(p, tag + 1);
	case '_':
		return parse_sentence(p, tag + 1);
	case '>':
		node = add(p, NODE_PARTIAL);
		node->name = tag + 1 + strspn(tag + 1, " ");
		return is_name(node->name) || wrong(p, "not a name:", node->name);
	case '%':
		node = add(p, NODE_URL);
		node->name = tag + 1;
		return is_name(node->name) || wrong(p, "not a name:", node->name);
	default:
		node = add(p, NODE_VALUE);
		return split_filter(tag, &node->name, &node->filter) ||
		       wrong(p, "an unknown name or filter:", tag);
	}
}

static void count_lines(struct parser *p, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p->line += text[i] == '\n';
}

bool template_parse(void *ctx, const char *page, const char *text, struct node **ret,
		    struct error *err)
{
	struct node *first = NULL;
	struct parser p = {.ctx = ctx, .page = page, .line = 1, .end = {&first}, .err = err};

	while (*text) {
		const char *const begin = strstr(text, "{{");
		const char *const end = begin ? strstr(begin, "}}") : NULL;
		const size_t n = begin ? (size_t)(begin - text) : strlen(text);

		if (n > 0)
			add(&p, NODE_TEXT)->text = t_printf(ctx, "%.*s", (int)n, text);
		count_lines(&p, text, n);
		if (!begin)
			break;
		if (!end)
			return wrong(&p, "not closed:", begin);
		if (!parse_tag(&p, t_printf(ctx, "%.*s", (int)(end - begin) - 2, begin + 2)))
			return false;
		count_lines(&p, begin, (size_t)(end - begin));
		text = end + 2;
	}
	if (p.depth > 0)
		return wrong(&p, "a section that does not end:", p.open[p.depth - 1]);
	*ret = first;
	return true;
}
