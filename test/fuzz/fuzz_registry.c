/*
 * fuzz_registry.c - operation scripts on the registry, against the naive
 * model of the unit test.
 */
#include "../unit/registry_model.h"

#include <stdlib.h>

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!model_run(data, size))
		abort();
	return 0;
}
