// SPDX-License-Identifier: Apache-2.0
//
// Runs a program of testdata/bench that is compiled for this machine, over the packet in
// the file of the first argument. For each number that it reads it runs the program as often, and
// prints what that returned and how long one run took, in nanoseconds.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define PACKET_LEN 1024
#define HEADROOM 256

// What struct xdp_md is, with addresses of 32 bits.
struct xdp_md {
	unsigned int data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

int PROGRAM(struct xdp_md *ctx);

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned char *page = mmap(NULL, HEADROOM + PACKET_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
	struct xdp_md ctx;
	unsigned int ret = 0;
	long n;

	if (page == MAP_FAILED || !file || fread(page + HEADROOM, 1, PACKET_LEN, file) != PACKET_LEN)
		return 1;
	ctx.data = ctx.data_meta = (unsigned long)page + HEADROOM;
	ctx.data_end = ctx.data + PACKET_LEN;
	while (scanf("%ld", &n) == 1 && n > 0) {
		double began = now();

		for (long i = 0; i < n; i++)
			ret = PROGRAM(&ctx);
		printf("%u %f\n", ret, (now() - began) / n);
		fflush(stdout);
	}
	return 0;
}
