/* news.h - what the thread that records all processes tells of them, until it is asked for. */
#ifndef CTASK_BPF_NEWS_H
#define CTASK_BPF_NEWS_H

#include <pthread.h>

#include "bpf/host.h"

struct ctask_news {
	pthread_mutex_t lock;
	struct ctask_news_item *first, **last;
};

void ctask_news_init(struct ctask_news *news);
/** Those that nobody has asked for go, with their readers. */
void ctask_news_fini(struct ctask_news *news);
/** The reader becomes theirs. -ENOMEM, and it is closed. */
int ctask_news_put(struct ctask_news *news, const struct ctask_host_news *what);
/** The oldest; false when there are none. */
bool ctask_news_take(struct ctask_news *news, struct ctask_host_news *ret);

#endif
