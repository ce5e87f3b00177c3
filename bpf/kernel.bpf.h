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

struct task_struct {
	struct thread_struct thread;
} __attribute__((preserve_access_index));

#endif
