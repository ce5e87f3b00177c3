/* news.c - what the thread that records all processes tells of them, until it is asked for. */
#include "bpf/news.h"

#include <errno.h>
#include <stdlib.h>

struct ctask_news_item {
	struct ctask_host_news what;
	struct ctask_news_item *next;
};

void ctask_news_init(struct ctask_news *news)
{
	pthread_mutex_init(&news->lock, NULL);
	news->first = NULL;
	news->last = &news->first;
}

void ctask_news_fini(struct ctask_news *news)
{
	struct ctask_host_news what;

	while (ctask_news_take(news, &what))
		ctask_history_reader_close(what.reader);
	pthread_mutex_destroy(&news->lock);
}

int ctask_news_put(struct ctask_news *news, const struct ctask_host_news *what)
{
	struct ctask_news_item *item = calloc(1, sizeof(*item));

	if (!item) {
		ctask_history_reader_close(what->reader);
		return -ENOMEM;
	}
	item->what = *what;
	pthread_mutex_lock(&news->lock);
	*news->last = item;
	news->last = &item->next;
	pthread_mutex_unlock(&news->lock);
	return 0;
}

bool ctask_news_take(struct ctask_news *news, struct ctask_host_news *ret)
{
	struct ctask_news_item *item;

	pthread_mutex_lock(&news->lock);
	item = news->first;
	if (item) {
		news->first = item->next;
		if (!item->next)
			news->last = &news->first;
	}
	pthread_mutex_unlock(&news->lock);
	if (!item)
		return false;
	*ret = item->what;
	free(item);
	return true;
}
