/* check_text.c - texts of a target: kept exactly. */
#include "model/text.h"

#include "tests/unit/made.h"

static const struct {
	uint32_t code_point;
	const char *bytes;
} forms[] = {
	{ 'a', "a" },
	{ 0x00, "\xc0\x80" },
	{ 0x7f, "\x7f" },
	{ 0x80, "\xc2\x80" },
	{ 0x7ff, "\xdf\xbf" },
	{ 0x800, "\xe0\xa0\x80" },
	{ 0xd800, "\xed\xa0\x80" },
	{ 0xdfff, "\xed\xbf\xbf" },
	{ 0xfffd, "\xef\xbf\xbd" },
	{ 0x10000, "\xf0\x90\x80\x80" },
	{ 0x10ffff, "\xf4\x8f\xbf\xbf" },
};

START_TEST(one_form)
{
	const char *at = forms[_i].bytes;
	char bytes[5] = "";

	bytes[ctask_text_encode(forms[_i].code_point, bytes)] = '\0';
	ck_assert_str_eq(bytes, forms[_i].bytes);
	ck_assert_uint_eq(ctask_text_decode(&at), forms[_i].code_point);
	ck_assert_str_eq(at, "");
}
END_TEST

START_TEST(every_code_point)
{
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char bytes[5] = "";
		const char *at = bytes;

		bytes[ctask_text_encode(c, bytes)] = '\0';
		/* The macros cost too much for a million. */
		if (ctask_text_decode(&at) != c || *at)
			ck_abort_msg("U+%04X does not come back", c);
	}
}
END_TEST

static const struct {
	const char *why;
	const char *bytes;
} malformed[] = {
	{ "a lone continuation byte", "\x80" },
	{ "a sequence that ends early", "\xe2\x82" },
	{ "an overlong slash", "\xc0\xaf" },
	{ "an overlong euro sign", "\xf0\x82\x82\xac" },
	{ "past the last code point", "\xf4\x90\x80\x80" },
	{ "a byte that never occurs", "\xff" },
};

START_TEST(one_malformed)
{
	const char *at = malformed[_i].bytes;

	ck_assert_uint_eq(ctask_text_decode(&at), 0xfffd);
	ck_assert_msg(at == malformed[_i].bytes + 1, "%s moved too far", malformed[_i].why);
}
END_TEST

START_TEST(end_stays_the_end)
{
	const char *text = "";
	const char *at = text;

	ck_assert_uint_eq(ctask_text_decode(&at), 0);
	ck_assert_ptr_eq(at, text);
}
END_TEST

START_TEST(bytes_of_unknown_encoding)
{
	struct ctask_texts *texts = ctask_texts_create();

	ck_assert_str_eq(ctask_texts_add_bytes(texts, "caf\xc3\xa9", 5), "caf\xc3\xa9");
	ck_assert_str_eq(ctask_texts_add_bytes(texts, "a\xff", 2), "a\xed\xb3\xbf");
	ck_assert_str_eq(ctask_texts_add_bytes(texts, "a\0b", 3), "a\xc0\x80"
								  "b");
	ck_assert_str_eq(ctask_texts_add_bytes(texts, "\xe2\x82", 2), "\xed\xb3\xa2\xed\xb2\x82");
	/* What is ours and not UTF-8 must not come in as if it were. */
	ck_assert_str_eq(ctask_texts_add_bytes(texts, "\xc0\x80", 2), "\xed\xb3\x80\xed\xb2\x80");
	ck_assert_str_eq(ctask_texts_add_bytes(texts, "", 0), "");
	ctask_texts_destroy(texts);
}
END_TEST

START_TEST(long_texts)
{
	enum { LEN = 1000000 };
	struct ctask_texts *texts = ctask_texts_create();
	auto_free char *bytes = malloc(LEN);
	ctask_text small, big;

	memset(bytes, 'x', LEN);
	small = ctask_texts_format(texts, "%d", 7);
	big = ctask_texts_add(texts, bytes, LEN);
	ck_assert_uint_eq(strlen(big), LEN);
	ck_assert_str_eq(small, "7");
	ck_assert_uint_eq(strlen(ctask_texts_format(texts, "%.*s", 70000, bytes)), 70000);
	ctask_texts_destroy(texts);
	ctask_texts_destroy(NULL);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("text");

	tcase_add_loop_test(tests, one_form, 0, ARRAY_SIZE(forms));
	tcase_add_test(tests, every_code_point);
	tcase_add_loop_test(tests, one_malformed, 0, ARRAY_SIZE(malformed));
	tcase_add_test(tests, end_stays_the_end);
	tcase_add_test(tests, bytes_of_unknown_encoding);
	tcase_add_test(tests, long_texts);
	return made_run("text", tests);
}
