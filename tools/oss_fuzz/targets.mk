# The programs of all fuzz targets, NAME_fuzz in $(OUT), without Bazel: by $(CXX) with $(CXXFLAGS) and $(LIB_FUZZING_ENGINE),
# whatever these are. All else is in $(WORK). tools/oss_fuzz/build.sh runs it, from the root of the project.

names := $(shell awk -F '"' '/^ +_target/ { print $$2 }' fuzz/targets.bzl)
sources := $(shell tools/oss_fuzz/sources)
# It replaces operator new, for the target c_api alone.
failing_new := engine/extents/failing_new.cc
objects := $(patsubst %.cc,$(WORK)/%.o,$(filter-out $(failing_new),$(sources)) engine/spec/catalogue_text.cc)
programs := $(names:%=$(OUT)/%_fuzz)

compile = mkdir -p $(@D) && $(CXX) $(CXXFLAGS) -std=c++23 -I. -I$(WORK) -MMD -c -o $@

all: $(programs)
.PHONY: all
.SECONDARY:

$(WORK)/engine/spec/rule_ids.h $(WORK)/engine/spec/catalogue_text.cc: engine/spec/requirements.tsv
	mkdir -p $(@D) && awk -f engine/spec/$(basename $(@F)).awk $< >$@

$(WORK)/engine/spec/catalogue_text.o: $(WORK)/engine/spec/catalogue_text.cc
	$(compile) $<

$(WORK)/%.o: %.cc | $(WORK)/engine/spec/rule_ids.h
	$(compile) $<

# The row of wire_decode is what WireDecodeTarget() returns.
$(WORK)/rows/%.cc: fuzz/targets.bzl
	mkdir -p $(@D) && row=$$(echo $* | sed 's/\(^\|_\)\([a-z]\)/\u\2/g')Target && printf '%s\n' \
	  '#include "fuzz/comparisons/fuzz_target.h"' 'namespace nbdspec::fuzz {' \
	  "FuzzTarget $$row();" "FuzzTarget ThisTarget() { return $$row(); }" '}' >$@

$(WORK)/rows/%.o: $(WORK)/rows/%.cc
	$(compile) $<

$(WORK)/libnbdspec.a: $(objects)
	rm -f $@ && ar rcs $@ $^

# Old tags: libraries in lib find theirs there, too.
$(OUT)/c_api_fuzz: $(WORK)/$(failing_new:.cc=.o)
$(OUT)/%_fuzz: $(WORK)/rows/%.o $(WORK)/fuzz/targets/entry.o $(WORK)/fuzz/targets/asan_options.o $(WORK)/libnbdspec.a
	$(CXX) $(CXXFLAGS) -o $@ $(filter %.o,$^) $(WORK)/libnbdspec.a $(LIB_FUZZING_ENGINE) \
	  -Wl,--as-needed -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/lib' -lssl -lcrypto -lnbd -lpthread

-include $(shell find $(WORK) -name '*.d' 2>/dev/null)
