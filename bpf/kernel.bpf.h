/* kernel.bpf.h - all of the kernel that the probes look at, and every difference between kernels. */
#ifndef CTASK_BPF_KERNEL_H
#define CTASK_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

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

#endif
