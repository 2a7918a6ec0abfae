# The parts without I/O, src/wire and src/core, as one archive for unit tests
# and fuzz targets:  make -f test/tools/pure.mk OUT=DIRECTORY CC=... FLAGS=...
# Each OUT belongs to one set of FLAGS.
OBJECTS = $(patsubst src/%.c,$(OUT)/%.o,$(wildcard src/wire/*.c src/core/*.c))

$(OUT)/pure.a: $(OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(OUT)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c $< -o $@

-include $(OBJECTS:.o=.d)
