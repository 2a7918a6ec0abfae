/*
 * test_queue.c - frames and the ring that holds them.
 */
#include "unit.h"

#include "core/queue.h"

static EnvelopeList
list_of(const char *const *strings, uint32_t count)
{
	static uint8_t bytes[400000];
	uint8_t    *at = bytes;
	EnvelopeList list = {.count = count};

	for (uint32_t i = 0; i < count; i++)
		at = write_string(at, slice_cstring(strings[i]));
	list.bytes = slice(bytes, (size_t) (at - bytes));
	return list;
}

static bool
is(Slice s, const char *text)
{
	return slice_equal(s, slice_cstring(text));
}

static void
frames(void)
{
	static const char *const two[] = {"abc", "d"};
	static const size_t sizes[] = {0, 1, 124, 125, 126, 65534, 65535, 65536, 200000};
	Frame	   *f;

	unit_case("a message: one text frame with the digit");
	f = frame_message(SLICE_LITERAL("2[\"x\"]"), (EnvelopeList) {0});
	CHECK(is(slice(f->ws, f->ws_len), "\x81\x07" "42[\"x\"]"));
	CHECK(is(frame_poll(f), "42[\"x\"]"));
	CHECK(frame_base64(f) == f);
	frame_unref(f);

	unit_case("attachments: binary frames; b and base64 in polling, text frames with base64");
	f = frame_message(SLICE_LITERAL("52-[]"), list_of(two, 2));
	CHECK(is(slice(f->ws, f->ws_len), "\x81\x06" "452-[]\x82\x03" "abc\x82\x01" "d"));
	CHECK(is(frame_poll(f), "452-[]\x1e" "bYWJj\x1e" "bZA=="));
	CHECK(frame_poll(f).data == frame_poll(f).data);
	CHECK(is(slice(frame_base64(f)->ws, frame_base64(f)->ws_len), "\x81\x06" "452-[]\x81\x05" "bYWJj\x81\x05" "bZA=="));
	CHECK(is(frame_poll(frame_base64(f)), "452-[]\x1e" "bYWJj\x1e" "bZA=="));
	CHECK(frame_base64(f) == frame_base64(f));
	frame_unref(f);

	unit_case("the base64 form may outlive the frame");
	f = frame_message(SLICE_LITERAL("52-[]"), list_of(two, 2));
	{
		Frame	   *text = frame_ref(frame_base64(f));

		frame_unref(f);
		CHECK(text->refs == 1 && is(frame_poll(text), "452-[]\x1e" "bYWJj\x1e" "bZA=="));
		frame_unref(text);
	}

	unit_case("every header size, with and without attachments");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		char	   *text = malloc(sizes[i] + 1);
		const char *one[1] = {text};

		memset(text, 'x', sizes[i]);
		text[sizes[i]] = '\0';
		f = frame_message(slice(text, sizes[i]), list_of(one, 1));
		CHECK(frame_poll(f).len == 1 + sizes[i] + 1 + 1 + (sizes[i] + 2) / 3 * 4);
		CHECK(frame_poll(frame_base64(f)).len == frame_poll(f).len);
		CHECK(slice_equal(frame_poll(frame_base64(f)), frame_poll(f)));
		frame_unref(f);
		free(text);
	}

	unit_case("a packet of the engine goes as it is");
	f = frame_packet(SLICE_LITERAL("2"));
	CHECK(is(slice(f->ws, f->ws_len), "\x81\x01" "2"));
	CHECK(is(frame_poll(f), "2"));
	frame_unref(f);
}

static void
rings(void)
{
	enum
	{
		KINDS = 7
	};
	Frame	   *frames[KINDS];
	uint8_t		model[4096];
	uint32_t	first = 0;
	uint32_t	last = 0;
	size_t		bytes = 0;
	unsigned	seed = 7;
	Queue		q = {0};
	bool		good = true;

	unit_case("random pushes and drops against a plain array");
	for (int i = 0; i < KINDS; i++)
		frames[i] = frame_packet(slice("2222222", (size_t) i + 1));
	while (last < sizeof(model))
	{
		if (rand_r(&seed) % 3 > 0)
		{
			model[last] = (uint8_t) (rand_r(&seed) % KINDS);
			queue_push(&q, frames[model[last]]);
			bytes += frames[model[last++]]->ws_len;
		}
		else
		{
			uint32_t	n = (uint32_t) rand_r(&seed) % (rand_r(&seed) % 20 == 0 ? last - first + 1 : 3);

			n = n < last - first ? n : last - first;
			queue_drop(&q, n);
			while (n-- > 0)
				bytes -= frames[model[first++]]->ws_len;
		}
		good = good && q.count == last - first && q.bytes == bytes;
		for (uint32_t i = 0; i < q.count; i++)
			good = good && queue_at(&q, i) == frames[model[first + i]];
	}
	CHECK(good);
	queue_clear(&q);
	CHECK(q.count == 0 && q.bytes == 0 && q.ring == NULL);

	unit_case("the queue has given back every reference");
	for (int i = 0; i < KINDS; i++)
	{
		CHECK(frames[i]->refs == 1);
		frame_unref(frames[i]);
	}

	unit_case("an empty queue keeps a small ring and frees a large one");
	{
		Frame	   *f = frame_packet(SLICE_LITERAL("2"));

		queue_push(&q, f);
		queue_drop(&q, 1);
		CHECK(q.ring != NULL);
		for (int i = 0; i < 100; i++)
			queue_push(&q, f);
		queue_drop(&q, 100);
		CHECK(q.ring == NULL && q.space == 0);
		frame_unref(f);
	}
}

int
main(void)
{
	frames();
	rings();
	return unit_done();
}
