/* A policy that lets every request pass, and counts it. */
#include "policy.h"

SEC("http_request")
long judge(struct http_request *ctx)
{
	count();
	return 0;
}
