/* history.c - a history like an agent's, so that nobody after it knows the difference. */
#include "bpf/history.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ctask_bpf_history_init(struct ctask_bpf_history *history, size_t bytes, struct ctask_error *err)
{
	struct ctask_history_header plan;
	void *memory;

	*history = (struct ctask_bpf_history){ .fd = -1 };
	ctask_writer_plan(&plan, bytes, 1);
	plan.flags = CTASK_HISTORY_BY_BPF;
	history->fd = memfd_create(CTASK_HISTORY_NAME, MFD_CLOEXEC);
	if (history->fd < 0 || ftruncate(history->fd, (off_t)plan.file_bytes))
		return ctask_fail(err, errno, "no memory can be made for the history: %m");
	memory = mmap(NULL, plan.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, history->fd, 0);
	if (memory == MAP_FAILED)
		return ctask_fail(err, errno, "no memory can be made for the history: %m");
	ctask_writer_begin(&history->writer, memory, history->fd, &plan);
	history->header = history->writer.header;
	ctask_writer_show(&history->writer);
	return 0;
}

void ctask_bpf_history_fini(struct ctask_bpf_history *history)
{
	if (history->header)
		munmap(history->header, history->header->file_bytes);
	if (history->fd >= 0)
		close(history->fd);
	ctask_table_fini(&history->known_words);
	ctask_table_fini(&history->known_places);
	*history = (struct ctask_bpf_history){ .fd = -1 };
}

uint32_t ctask_bpf_word(struct ctask_bpf_history *history, const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	size_t len = text ? strlen(text) : 0;
	uint32_t at;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3ull;
	if (!len)
		return 0;
	at = ctask_table_get(&history->known_words, hash | 1, 0);
	if (at && !strcmp(history->writer.words + at, text))
		return at;
	at = ctask_writer_word(&history->writer, text, len);
	if (at)
		(void)ctask_table_put(&history->known_words, hash | 1, at);
	return at;
}

uint32_t ctask_bpf_place(struct ctask_bpf_history *history, uint64_t key,
			 const struct ctask_place *place)
{
	uint32_t at = ctask_table_get(&history->known_places, key, 0);

	if (at)
		return at;
	at = ctask_writer_place(&history->writer, place);
	if (at)
		(void)ctask_table_put(&history->known_places, key, at);
	return at;
}

uint64_t ctask_bpf_side(struct ctask_bpf_history *history, const void *bytes, size_t len)
{
	return ctask_writer_side(&history->writer, bytes, len, "");
}
