// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 with characters of one to four bytes, some of it broken, made from the words
// of the packet, and read byte by byte: what may follow is state.
#include "../bench.h"

// encode makes a word four bytes of text.
static INLINE u32 encode(u32 word)
{
	switch (word & 7) {
	case 0: case 1: case 2: return word & 0x7f7f7f7f;
	case 3: case 4: return (word & 0x3f1f3f1f) | 0x80c080c0;
	case 5: return (word & 0x7f3f3f0f) | 0x008080e0;
	case 6: return (word & 0x3f3f3f07) | 0x808080f0;
	default: return word;
	}
}

SEC("xdp")
int utf8(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0, errors = 0, rune = 0, least = 0, more = 0;

	for (int i = 0; i < PACKET_LEN / 4; i++) {
		u32 text = encode(((u32 *)p)[i]);

		for (int j = 0; j < 4; j++, text >>= 8) {
			u32 byte = text & 255;

			if ((byte & 0xc0) == 0x80) {
				if (!more) {
					errors++;
					continue;
				}
				rune = rune << 6 | (byte & 63);
				if (--more)
					continue;
				if (rune < least || rune > 0x10ffff || rune >> 11 == 27)
					errors++;
			} else {
				errors += more;
				more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0;
				least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
				rune = more ? byte & (63 >> more) : byte;
				if (more)
					continue;
			}
			ret = ret * 31 + rune;
		}
	}
	return ret ^ errors << 16;
}
