/* rendezvous.c - where an agent's socket is, and how one speaks over it: what both ends agree on. */
#include "model/rendezvous.h"

const char *const ctask_request_words[] = { "hello", "history", "cancels", "tree" };

static const char name_begin[] = "ctask-", name_end[] = ".sock";

/* Text that is put together in a fixed room; what does not fit is remembered. */
struct builder {
	char *to;
	size_t len, room;
	bool full;
};

static void put(struct builder *b, const char *text)
{
	for (; *text; text++) {
		if (b->len + 1 >= b->room) {
			b->full = true;
			break;
		}
		b->to[b->len++] = *text;
	}
	b->to[b->len] = '\0';
}

static void put_number(struct builder *b, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	put(b, digits + at);
}

/* Where @p text goes on behind @p prefix; NULL when it begins otherwise. */
static const char *behind(const char *text, const char *prefix)
{
	for (; *prefix; prefix++, text++)
		if (*text != *prefix)
			return NULL;
	return text;
}

/* A decimal number as put_number() writes it, at most @p most; NULL when there is none. */
static const char *take_number(const char *text, uint64_t most, uint64_t *ret)
{
	uint64_t number = 0;

	if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (number > (most - digit) / 10)
			return NULL;
		number = number * 10 + digit;
	}
	*ret = number;
	return text;
}

int ctask_request_parse(const char *line, const char **ret_rest)
{
	for (int i = 0; i < CTASK_ASKS; i++) {
		const char *rest = behind(line, ctask_request_words[i]);

		if (!rest || (*rest && *rest != ' '))
			continue;
		while (*rest == ' ')
			rest++;
		if (*rest && i != CTASK_ASK_CANCELS)
			return -1;
		*ret_rest = rest;
		return i;
	}
	return -1;
}

bool ctask_place_path(const struct ctask_places *places, enum ctask_place_kind kind,
		      char path[CTASK_PLACE_BYTES])
{
	struct builder b = { .to = path, .room = CTASK_PLACE_BYTES };
	const char *set = NULL;

	switch (kind) {
	case CTASK_AT_CTASK_DIR:
		set = places->ctask_dir;
		put(&b, set ? set : "");
		break;
	case CTASK_AT_RUNTIME_DIR:
		set = places->runtime_dir;
		put(&b, set ? set : "");
		put(&b, "/ctask");
		break;
	case CTASK_AT_RUN:
		set = "/run";
		put(&b, "/run/ctask/");
		put_number(&b, places->uid);
		break;
	case CTASK_AT_TMP:
		set = places->tmp && *places->tmp ? places->tmp : "/tmp";
		put(&b, set);
		put(&b, "/ctask-");
		put_number(&b, places->uid);
		break;
	case CTASK_PLACE_KINDS:
		break;
	}
	return set && *set == '/' && !b.full;
}

void ctask_socket_name(int32_t nspid, uint64_t start_ticks, char name[CTASK_SOCKET_NAME_BYTES])
{
	struct builder b = { .to = name, .room = CTASK_SOCKET_NAME_BYTES };

	put(&b, name_begin);
	put_number(&b, nspid < 0 ? 0 : (uint64_t)nspid);
	put(&b, "-");
	put_number(&b, start_ticks);
	put(&b, name_end);
}

bool ctask_socket_name_parse(const char *name, int32_t *ret_nspid, uint64_t *ret_start_ticks)
{
	uint64_t nspid, start_ticks;
	const char *at = behind(name, name_begin);

	at = at ? take_number(at, INT32_MAX, &nspid) : NULL;
	at = at ? behind(at, "-") : NULL;
	at = at ? take_number(at, UINT64_MAX, &start_ticks) : NULL;
	at = at ? behind(at, name_end) : NULL;
	if (!at || *at)
		return false;
	*ret_nspid = (int32_t)nspid;
	*ret_start_ticks = start_ticks;
	return true;
}
