/* A policy that refuses what lies below /admin, and says so. */
#include "policy.h"

static const char prefix[] = "/admin";

SEC("http_request")
long judge(struct http_request *ctx)
{
	const __u8 *path = ctx->path;
	const int n = sizeof(prefix) - 1;

	count();
	if (path + n > ctx->path_end)
		return 0;
	for (int i = 0; i < n; i++)
		if (path[i] != prefix[i])
			return 0;
	note(path, ctx->path_end - path);
	ctx->status = 403;
	return 1;
}
