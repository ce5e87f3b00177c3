/* lock.c - one lock for all that the agent keeps. */
#include "agent/lock.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void ctask_lock(void)
{
	pthread_mutex_lock(&mutex);
}

void ctask_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

void ctask_lock_renew(void)
{
	mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
