/* text.c - text that came from a target: kept exactly, shown safely. */
#include "model/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct block {
	struct block *next;
	char bytes[];
};

struct ctask_texts {
	struct block *blocks;
	char *free;
	size_t free_bytes;
};

struct ctask_texts *ctask_texts_create(void)
{
	return calloc(1, sizeof(struct ctask_texts));
}

void ctask_texts_clear(struct ctask_texts *texts)
{
	struct block *next;

	for (struct block *b = texts->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	*texts = (struct ctask_texts){ 0 };
}

void ctask_texts_destroy(struct ctask_texts *texts)
{
	if (!texts)
		return;
	ctask_texts_clear(texts);
	free(texts);
}

static char *reserve(struct ctask_texts *texts, size_t bytes)
{
	struct block *b;
	char *at;

	if (bytes > texts->free_bytes) {
		size_t room = bytes > BLOCK_BYTES / 4 ? bytes : BLOCK_BYTES;

		b = malloc(sizeof(*b) + room);
		if (!b)
			return NULL;
		b->next = texts->blocks;
		texts->blocks = b;
		if (room == bytes)
			return b->bytes; /* a long text has a block to itself */
		texts->free = b->bytes;
		texts->free_bytes = room;
	}
	at = texts->free;
	texts->free += bytes;
	texts->free_bytes -= bytes;
	return at;
}

ctask_text ctask_texts_add(struct ctask_texts *texts, const char *bytes, size_t len)
{
	char *to = len < SIZE_MAX ? reserve(texts, len + 1) : NULL;

	if (!to)
		return NULL;
	memcpy(to, bytes, len);
	to[len] = '\0';
	return to;
}

ctask_text ctask_texts_format(struct ctask_texts *texts, const char *format, ...)
{
	char small[256];
	va_list args;
	char *to;
	int len;

	va_start(args, format);
	len = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	if (len < 0)
		return NULL;
	if ((size_t)len < sizeof(small))
		return ctask_texts_add(texts, small, (size_t)len);

	to = reserve(texts, (size_t)len + 1);
	if (!to)
		return NULL;
	va_start(args, format);
	vsnprintf(to, (size_t)len + 1, format, args);
	va_end(args);
	return to;
}

size_t ctask_text_encode(uint32_t c, char *to)
{
	if (c == 0) {
		to[0] = (char)0xc0;
		to[1] = (char)0x80;
		return 2;
	}
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | (c >> 18 & 7));
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The code point at @p s, whose length goes to @p len; 0xfffd and 1 when not well formed. */
static uint32_t decode(const char *s, size_t *len)
{
	const unsigned char *b = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = b[0] < 0x80	 ? 1
		   : b[0] < 0xc0 ? 0
		   : b[0] < 0xe0 ? 2
		   : b[0] < 0xf0 ? 3
		   : b[0] < 0xf8 ? 4
				 : 0;
	uint32_t c;

	*len = 1;
	if (n == 0)
		return 0xfffd;
	if (n == 1)
		return b[0];
	c = b[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (b[i] & 0x3f);
	}
	if ((c < least[n] && !(n == 2 && c == 0)) || c > 0x10ffff)
		return 0xfffd;
	*len = n;
	return c;
}

uint32_t ctask_text_decode(const char **at)
{
	size_t len;
	uint32_t c;

	if (!**at)
		return 0;
	c = decode(*at, &len);
	*at += len;
	return c;
}

/* What arrived as bytes is foreign UTF-8: our two additions are not valid in it. */
static bool foreign_is_valid(uint32_t c, size_t len)
{
	return !(len == 1 && c == 0xfffd) && !(c >= 0xd800 && c <= 0xdfff) && !(c == 0 && len == 2);
}

ctask_text ctask_texts_add_bytes(struct ctask_texts *texts, const char *bytes, size_t len)
{
	char *padded = malloc(len + 4); /* decode() may look 3 bytes past the end: zeros stop it */
	char *out = malloc(len * 3 + 1);
	ctask_text text = NULL;
	size_t used = 0;

	if (padded && out) {
		memcpy(padded, bytes, len);
		memset(padded + len, 0, 4);
		for (size_t i = 0; i < len;) {
			size_t n;
			uint32_t c = decode(padded + i, &n);

			if (!foreign_is_valid(c, n)) {
				c = 0xdc00 + (unsigned char)padded[i];
				n = 1;
			}
			used += ctask_text_encode(c, out + used);
			i += n;
		}
		text = ctask_texts_add(texts, out, used);
	}
	free(padded);
	free(out);
	return text;
}

/* True for what our form can hold: a NUL or a broken sequence is not in it. */
static bool is_well_formed(const char *text)
{
	while (*text) {
		size_t len;

		if (decode(text, &len) == 0xfffd && len == 1)
			return false;
		text += len;
	}
	return true;
}

ctask_text ctask_texts_add_checked(struct ctask_texts *texts, const char *bytes, size_t len)
{
	char *kept = len < SIZE_MAX ? reserve(texts, len + 1) : NULL;

	if (!kept)
		return NULL;
	memcpy(kept, bytes, len);
	kept[len] = '\0';
	if (strlen(kept) == len && is_well_formed(kept))
		return kept;
	return ctask_texts_add_bytes(texts, bytes, len);
}
