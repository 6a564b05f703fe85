// SPDX-License-Identifier: BSD-3-Clause
// Which fields of a judged message a verdict is about.

#pragma once

#include <string_view>

#include "reports/model/evidence.h"

namespace nbdspec::reports {

// Marks in `message`, which is judged, the fields that `saw`, the judgement in words, names or quotes. What a client
// asked is never what is wrong, nor is what only repeats it (an option, a cookie, an offset) unless the judgement names
// the field; `asked`: the message that asked, in words.
void MarkFields(Message& message, std::string_view asked, std::string_view saw, bool is_about_descriptors);

// Marks in `message` of a client, which is judged, the fields that `allowed`, what the clause allows in words, names:
// what is said of a client's message quotes all of it.
void MarkNamedFields(Message& message, std::string_view allowed);

}  // namespace nbdspec::reports
