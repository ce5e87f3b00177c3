/* kernel.bpf.h - all of the kernel that the probes look at, and every difference between kernels. */
#ifndef CTASK_BPF_KERNEL_H
#define CTASK_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/*
 * The oldest kernel is 5.12:
 *   5.8   the ring buffer (457f44363a88)
 *   5.11  a task whose fields are read without a call (3ca1032ab7ab)
 *   5.12  pointers to memory as arguments of global functions, which are verified one by one (e5069b9c23b3):
 *         as static ones they are walked through for each call, beyond a million instructions;
 *         compare and exchange (5ffa25502b5a)
 *   5.15  the cookie of a probe (7adfc6c9b315): in a recording of all processes alone
 */

/*
 * Written by hand, so that no vmlinux.h of the machine that builds is needed: the loader finds the
 * offsets in the BTF of the kernel that runs. thread.fsbase: arch/x86/include/asm/processor.h.
 */
struct thread_struct {
	unsigned long fsbase;
} __attribute__((preserve_access_index));

typedef struct {
	int counter;
} atomic_t;

struct signal_struct { /* include/linux/sched/signal.h; live: threads that go on */
	atomic_t live;
} __attribute__((preserve_access_index));

struct task_struct {
	struct thread_struct thread;
	int tgid;
	struct signal_struct *signal;
} __attribute__((preserve_access_index));

/*
 * The thread's pthread_self(), as PyThreadState.thread_id has it. x86-64 alone, as reader/layout_table.c: there it is the
 * thread pointer, in glibc and musl. On arm64 (thread.uw.tp_value) it lies below that, by the size of a
 * structure that differs from glibc to glibc.
 */
static __always_inline __u64 this_pthread(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	return task->thread.fsbase;
}

#endif
