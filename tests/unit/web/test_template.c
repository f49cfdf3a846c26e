/*
 * Templates: a value is shown as text whatever it holds, a missing name is an error, and every template that is
 * compiled in parses.
 */
#include "web/template.c"
#include "web/template_parse.c"

/* After the modules: cmocka has a macro of the name fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* What a text gives in a language, or NULL: an error, which is in *why.  Owned by ctx. */
static const char *show(void *ctx, const char *text, const struct values *v, const char *language,
			const char **why)
{
	AUTO(error) struct error err = {0};
	struct evbuffer *out = evbuffer_new();
	struct rendering r = {
		.ctx = ctx,
		.page = "test",
		.language = language_named(language),
		.out = out,
		.err = &err,
	};
	struct node *node = NULL;
	const char *shown = NULL;

	if (template_parse(ctx, "test", text, &node, &err) && put_nodes(&r, v, node))
		shown = t_printf(ctx, "%.*s", (int)evbuffer_get_length(out),
				 (const char *)evbuffer_pullup(out, -1));
	else if (why)
		*why = t_strdup(ctx, err.text);
	evbuffer_free(out);
	return shown;
}

static void gives(const char *text, const struct values *v, const char *wanted)
{
	void *ctx = talloc_new(NULL);
	const char *why = "";
	const char *shown = show(ctx, text, v, "en", &why);

	assert_string_equal(shown ? shown : why, wanted);
	talloc_free(ctx);
}

static void refuses(const char *text, const struct values *v, const char *wanted)
{
	void *ctx = talloc_new(NULL);
	const char *why = NULL;

	assert_null(show(ctx, text, v, "en", &why));
	assert_non_null(strstr(why, wanted));
	talloc_free(ctx);
}

static void test_escaping(void **state)
{
	static const struct {
		const char *value, *text, *url;
	} cases[] = {
		{"", "", ""},
		{"plain Σ漢 ’", "plain Σ漢 ’", "plain%20%CE%A3%E6%BC%A2%20%E2%80%99"},
		{"&<>\"'", "&amp;&lt;&gt;&quot;&#39;", "%26%3C%3E%22%27"},
		{"&amp;", "&amp;amp;", "%26amp%3B"},
		{"<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;",
		 "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"},
		{"\"><script>", "&quot;&gt;&lt;script&gt;", "%22%3E%3Cscript%3E"},
		{"' onfocus='x", "&#39; onfocus=&#39;x", "%27%20onfocus%3D%27x"},
		{"{{secret}}{secret}", "{{secret}}{secret}", "%7B%7Bsecret%7D%7D%7Bsecret%7D"},
		{"a\nb\tc\r", "a\nb\tc\r", "a%0Ab%09c%0D"},
		{"\001\033[2J", "\xef\xbf\xbd\xef\xbf\xbd[2J", "%01%1B%5B2J"},
		/* U+202E turns the direction, U+009B begins a command of a terminal. */
		{"a\xe2\x80\xae"
		 "b",
		 "a\xef\xbf\xbd"
		 "b",
		 "a%E2%80%AEb"},
		{"\xc2\x9b", "\xef\xbf\xbd", "%C2%9B"},
		{"../a?b#c%", "../a?b#c%", "..%2Fa%3Fb%23c%25"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		void *ctx = talloc_new(NULL);
		struct values *v = values_new(ctx);

		values_set(v, "x", cases[i].value);
		values_set(v, "secret", "shown");
		gives("{{x}}", v, cases[i].text);
		gives("<a href=\"/{{%x}}\">", v, t_printf(ctx, "<a href=\"/%s\">", cases[i].url));
		gives("{{_ \"<b>{x}</b>\"}}", v, t_printf(ctx, "<b>%s</b>", cases[i].text));
		gives("{{x|status}}", v, cases[i].text);
		gives("{{x|number}}", v, cases[i].text);
		talloc_free(ctx);
	}
}

static void test_sections(void **state)
{
	void *ctx = talloc_new(NULL);
	struct values *v = values_new(ctx), *row;

	(void)state;
	values_set(v, "name", "outer");
	values_set(v, "null", NULL);
	values_set(v, "empty", "");
	values_flag(v, "yes", true);
	values_flag(v, "no", false);
	values_list(v, "none");
	row = values_add(v, "rows");
	values_set(row, "name", "first");
	values_set(values_add(row, "inner"), "n", "1");
	values_set(values_add(row, "inner"), "n", "2");
	row = values_add(v, "rows");
	values_list(row, "inner");

	gives("a{{null}}b{{empty}}c", v, "abc");
	gives("{{?name}}{{name}}{{/name}}{{^name}}no{{/name}}", v, "outer");
	gives("{{?null}}a{{/null}}{{^null}}b{{/null}}{{?empty}}c{{/empty}}", v, "bc");
	gives("{{?yes}}a{{/yes}}{{?no}}b{{/no}}", v, "a");
	gives("{{?none}}a{{/none}}{{^none}}b{{/none}}{{#none}}c{{/none}}", v, "b");
	gives("{{?rows}}<ul>{{#rows}}<li>{{name}}{{#inner}}({{n}} {{name}}){{/inner}}"
	      "{{^inner}}nothing{{/inner}}</li>{{/rows}}</ul>{{/rows}}",
	      v, "<ul><li>first(1 first)(2 first)</li><li>outernothing</li></ul>");
	/* What a row has ends with it. */
	refuses("{{#rows}}{{/rows}}{{n}}", v, "there is no value \"n\"");
	talloc_free(ctx);
}

static void test_missing_names(void **state)
{
	void *ctx = talloc_new(NULL);
	struct values *v = values_new(ctx);

	(void)state;
	refuses("{{x}}", v, "template test: there is no value \"x\"");
	refuses("{{%x}}", v, "\"x\"");
	refuses("{{x|number}}", v, "\"x\"");
	refuses("{{#x}}{{/x}}", v, "\"x\"");
	refuses("{{?x}}{{/x}}", v, "\"x\"");
	refuses("{{^x}}{{/x}}", v, "\"x\"");
	refuses("{{_ \"say {x}\"}}", v, "\"x\"");
	refuses("{{_ x \"one\" \"many\"}}", v, "\"x\"");
	/* Only a form's fields may be unset. */
	gives("{{value_name}}{{?error_name}}bad{{/error_name}}ok", v, "ok");
	values_set(v, "a_text", "x");
	refuses("{{#a_text}}{{/a_text}}", v, "\"a_text\"");
	talloc_free(ctx);
}

static void test_syntax(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"a\nb{{name", "template test:2: not closed"},
		{"{{}}", "an unknown name or filter"},
		{"{{{name}}}", "an unknown name or filter"},
		{"{{&name}}", "an unknown name or filter"},
		{"{{name|raw}}", "an unknown name or filter"},
		{"{{Name}}", "an unknown name or filter"},
		{"{{#a}}", "a section that does not end: \"a\""},
		{"{{/a}}", "not the end of the section"},
		{"{{#a}}{{?b}}{{/a}}{{/b}}", "not the end of the section"},
		{"\n\n{{# a}}{{/a}}", "template test:3: not a name"},
		{"{{> a b}}", "not a name"},
		{"{{_ sentence}}", "not a sentence"},
		{"{{_ \"a}}", "not a sentence"},
		{"{{_ \"a\" \"b\"}}", "not a sentence"},
		{"{{_ n \"a\"}}", "not a sentence"},
		{"{{_ \"a {x\"}}", "an unknown name or filter in"},
		{"{{_ \"a {x|raw} b\"}}", "an unknown name or filter in"},
		{"{{_ \"a } b\"}}", "a brace without its pair"},
		{"{{_ n \"a {}\" \"b\"}}", "an unknown name or filter in"},
	};
	void *ctx = talloc_new(NULL);
	struct values *v = values_new(ctx);

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		refuses(cases[i].text, v, cases[i].why);
	talloc_free(ctx);
}

static void test_sentences(void **state)
{
	void *ctx = talloc_new(NULL);
	struct values *v = values_new(ctx);
	static const struct {
		const char *n, *french, *english;
	} cases[] = {
		{"0", "environ $1 heure", "about $1 hours"},
		{"1", "environ $1 heure", "about $1 hour"},
		{"2", "environ $1 heures", "about $1 hours"},
		{NULL, "environ $1 heure", "about $1 hours"},
	};

	(void)state;
	values_set(v, "n", "1204");
	values_set(v, "who", "<b>");
	gives("{{_ \"say \\\"{who}\\\"\"}}", v, "say \"&lt;b&gt;\"");
	gives("{{_ \"see <a href='/{n}'>{n|number}</a>\"}}", v, "see <a href='/1204'>1,204</a>");
	gives("{{_ n \"one {n}\" \"many {n|number}\"}}", v, "many 1,204");
	gives("{{_ \"Overview\"}}", v, "Overview");
	assert_string_equal(show(ctx, "{{_ \"Overview\"}}: {{n|number}}", v, "fr", NULL),
			    "Vue d’ensemble: 1\u202f204");
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *const text = "{{_ n \"about $1 hour\" \"about $1 hours\"}}";

		values_set(v, "n", cases[i].n);
		assert_string_equal(show(ctx, text, v, "fr", NULL), cases[i].french);
		assert_string_equal(show(ctx, text, v, "en", NULL), cases[i].english);
	}
	talloc_free(ctx);
}

static void test_all_templates(void **state)
{
	AUTO(error) struct error err = {0};
	void *ctx = talloc_new(NULL);
	struct values *v = values_new(ctx);
	struct evbuffer *out = evbuffer_new();

	(void)state;
	if (!template_load(&err))
		fail_msg("%s", err.text);
	values_set(v, "token", "\"<'");
	assert_true(template_render("token", v, language_named("fr"), out, &err));
	assert_string_equal(t_printf(ctx, "%.*s", (int)evbuffer_get_length(out),
				     (const char *)evbuffer_pullup(out, -1)),
			    "<input type=\"hidden\" name=\"jeton\" value=\"&quot;&lt;&#39;\">\n");
	assert_false(template_render("start", v, language_named("fr"), out, &err));
	error_clear(&err);
	assert_false(template_render("not_there", v, language_named("fr"), out, &err));
	evbuffer_free(out);
	talloc_free(ctx);
	talloc_free(templates);
	templates = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escaping),      cmocka_unit_test(test_sections),
		cmocka_unit_test(test_missing_names), cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_sentences),     cmocka_unit_test(test_all_templates)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
