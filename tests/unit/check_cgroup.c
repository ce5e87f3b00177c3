/* check_cgroup.c - which container a process is in, from its control groups. */
#include "reader/cgroup.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const struct {
	const char *cgroups, *want; /* NULL: none */
} cases[] = {
	{ "", NULL },
	{ "0::/\n", NULL },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", NULL },
	{ "0::/system.slice/docker-" ID ".scope\n", ID },
	{ "0::/docker/" ID "\n", ID },
	{ "0::/machine.slice/libpod-" ID ".scope/container\n", ID },
	{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/"
	  "cri-containerd-" ID ".scope\n",
	  ID },
	{ "12:memory:/kubepods/burstable/pod0b4c1d2e-aaaa/" ID "\n0::/\n", ID },
	{ "4:cpu:/\n3:memory:/docker/" ID "\n0::/system.slice/containerd.service\n", ID },
	{ "0::/docker/" ID "/docker/" OTHER "\n", OTHER }, /* the innermost */
	{ "0::/docker/" ID "0\n", NULL },		   /* 65 digits */
	{ "0::/docker/" ID, ID },			   /* no newline */
	{ "0::/machine.slice/systemd-nspawn@web.service/payload\n", "web" },
	{ "0::/machine.slice/systemd-nspawn@web\\x2d1.service\n", "web-1" },
	{ "0::/machine.slice/machine-db\\x2d2.scope\n", "db-2" },
	{ "0::/lxc/box/init.scope\n", "box" },
	{ "0::/lxc.payload.box/system.slice\n", "box" },
	{ "0::/lxc.payload/box\n", "box" },
	{ "0::/lxc/\n", NULL },
	/* Names that no container has. */
	{ "0::/lxc/a\x1b[31mb\n", NULL },
	{ "0::/lxc/a\\x0ab\n", NULL },
	{ "0::/lxc/a\\x00b\n", NULL },
	{ "0::/lxc/a\\x\n", NULL },
	{ "0::/lxc/\xff\n", NULL },
	{ "0::/lxc/" ID ID "\n", NULL },
	{ "no path at all\n\n\n", NULL },
};

START_TEST(row)
{
	/* A copy of just its size: what reads beyond is seen by the sanitizer. */
	char *text = strdup(cases[_i].cgroups), container[CTASK_CONTAINER_BYTES] = "?";
	bool found = ctask_cgroup_container(text, container);

	ck_assert_int_eq(found, cases[_i].want != NULL);
	ck_assert_str_eq(container, found ? cases[_i].want : "?");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cgroup");
	TCase *tcase = tcase_create("cgroup");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tcase, row, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
