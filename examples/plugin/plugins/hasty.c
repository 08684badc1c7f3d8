/* A policy that does not look how long the path is. It is refused when it is loaded. */
#include "policy.h"

SEC("http_request")
long judge(struct http_request *ctx)
{
	const __u8 *path = ctx->path;

	count();
	return path[1] == 'a';
}
