// SPDX-License-Identifier: Apache-2.0
//
// A filter of DNS responses (RFC 1035): every name of two messages is followed
// through its labels and compression pointers, hashed without regard to case
// and looked up in a hash table of blocked names.
#include "../bench.h"

#define MESSAGE_LEN 256 // offsets wrap there
#define MAX_LABEL 63
#define MAX_LABELS 16
#define MAX_RECORDS 16
#define MAX_JUMPS 8
#define BLOCKED 32
#define MALFORMED ((u64)-1)

enum { TYPE_NS = 2, TYPE_CNAME = 5, TYPE_MX = 15 };

static const u8 messages[2][MESSAGE_LEN] = {
	// www.shop.example.com, by way of two CNAMEs
	"\22\64\201\200\0\1\0\5\0\2\0\2" // header
	"\3" "www" "\4" "Shop" "\7" "example" "\3" "com" "\0" "\0\1\0\1"
	"\300\14" "\0\5\0\1\0\0\1\54\0\37" "\4" "shop" "\14" "cdn-frontend" "\7" "example" "\3" "net" "\0"
	"\300\62" "\0\5\0\1\0\0\0\74\0\17" "\14" "edge-eu-west" "\300\67"
	"\300\135" "\0\1\0\1\0\0\0\36\0\4" "\300\0\2\21"
	"\300\135" "\0\1\0\1\0\0\0\36\0\4" "\300\0\2\22"
	"\300\135" "\0\34\0\1\0\0\0\36\0\20" "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\27"
	"\300\104" "\0\2\0\1\0\1\121\200\0\6" "\3" "ns1" "\300\104"
	"\300\104" "\0\2\0\1\0\1\121\200\0\21" "\3" "ns2" "\7" "example" "\3" "org" "\0"
	"\300\264" "\0\1\0\1\0\0\16\20\0\4" "\306\63\144\1"
	"\300\306" "\0\1\0\1\0\0\16\20\0\4" "\306\63\144\2",
	// MX of mail.tracker.invalid
	"\22\64\201\200\0\1\0\2\0\2\0\4" // header
	"\4" "mail" "\7" "tracker" "\7" "invalid" "\0" "\0\1\0\1"
	"\300\14" "\0\17\0\1\0\0\3\204\0\21" "\0\12" "\11" "inbound-a" "\2" "mx" "\300\21"
	"\300\14" "\0\17\0\1\0\0\3\204\0\16" "\0\24" "\11" "inbound-b" "\300\76"
	"\300\21" "\0\2\0\1\0\0\3\204\0\7" "\1" "a" "\2" "ns" "\300\21"
	"\300\21" "\0\2\0\1\0\0\3\204\0\4" "\1" "b" "\300\153"
	"\300\64" "\0\1\0\1\0\0\0\170\0\4" "\313\0\161\5"
	"\300\121" "\0\1\0\1\0\0\0\170\0\4" "\313\0\161\6"
	"\300\151" "\0\1\0\1\0\0\0\170\0\4" "\313\0\161\7"
	"\300\174" "\0\34\0\1\0\0\0\170\0\20" "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\65",
};

// FNV-1a hashes, each at the first free place from its lower bits on.
static const u32 blocked[BLOCKED] = {
	0x5031ae40, 0x00566f61, 0, 0, 0x112d9104, 0xbe8a8005,
	0, 0, 0, 0, 0, 0,
	0, 0x9a85756d, 0xc152de8d, 0, 0, 0,
	0, 0x483ba233, 0, 0, 0x72eed996, 0,
	0x3c0c9958, 0x51c64dd9, 0x26a91f1a, 0, 0xdf219b7c, 0,
	0, 0,
};

static NOINLINE bool is_blocked(u32 hash)
{
	for (u32 i = 0; i < BLOCKED; i++) {
		u32 entry = blocked[(hash + i) % BLOCKED];

		if (entry == hash)
			return true;
		if (entry == 0)
			break;
	}
	return false;
}

// hash_label adds the len bytes at an offset to a hash.
//
// Global functions: Linux verifies them once and not at every call.
NOINLINE u32 hash_label(u32 which, u32 at, u32 len, u32 hash)
{
	const u8 *message = messages[which & 1];

	for (u32 i = 0; i < MAX_LABEL && i < len; i++) {
		u8 c = message[(at + i) % MESSAGE_LEN];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		hash = (hash ^ c) * 0x01000193;
	}
	return hash;
}

// read_name returns the hash of the name at an offset of a message, and in the
// upper half the offset of what follows the name.
NOINLINE u64 read_name(u32 which, u32 at)
{
	const u8 *message = messages[which & 1];
	u32 hash = 0x811c9dc5, after = 0;

	for (int i = 0; i < MAX_LABELS + MAX_JUMPS; i++) {
		u8 c = message[at % MESSAGE_LEN];

		if (c == 0)
			return (u64)(after ? after : at + 1) << 32 | hash;
		if (c >= 0xc0) {
			if (!after)
				after = at + 2;
			at = (c & 0x3f) << 8 | message[(at + 1) % MESSAGE_LEN];
			continue;
		}
		if (c > MAX_LABEL)
			return MALFORMED;
		hash = hash_label(which, at + 1, c, (hash ^ '.') * 0x01000193);
		at += 1 + c;
	}
	return MALFORMED;
}

static INLINE u16 read_u16(const u8 *message, u32 at)
{
	return message[at] << 8 | message[at + 1];
}

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 filter(u32 which)
{
	const u8 *message = messages[which & 1];
	u32 records = read_u16(message, 6) + read_u16(message, 8) + read_u16(message, 10);
	u64 name = read_name(which, 12);
	u32 at = (name >> 32) + 4, ret = name;

	for (u32 i = 0; i < MAX_RECORDS && i < records; i++) {
		u16 type;

		name = read_name(which, at);
		at = name >> 32;
		if (at > MESSAGE_LEN - 12)
			break;
		type = read_u16(message, at);
		ret = ret * 31 + ((u32)name ^ type) + is_blocked(name);
		at += 10;
		if (type == TYPE_NS || type == TYPE_CNAME || type == TYPE_MX) {
			name = read_name(which, at + (type == TYPE_MX ? 2 : 0));
			ret = ret * 31 + (u32)name + is_blocked(name);
		}
		at += read_u16(message, at - 2);
	}
	return ret;
}

SEC("xdp")
int dnsname(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = *(u32 *)p;

	for (u32 i = 0; i < 4; i++)
		ret = ret * 33 + filter(i);
	return ret;
}
