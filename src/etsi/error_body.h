// SPDX-License-Identifier: Apache-2.0
// What the body of an answer that is no success says. It may hold anything, keys too: a gateway may give an error's
// status to a container that broke off. So nothing of it is repeated but the text that is there to be read.
#pragma once

#include <string>

#include "base/bytes.h"

namespace quipu::etsi {

// The first of the strings "message" (the standard's), "detail" and "error" (seen in the field) of a JSON object, cut,
// as one line of ASCII, with "..." for each word that may be a key. Empty for any other body. Of the rest, no copy is
// left.
std::string message_of(ByteView body);

// Whether the body speaks of too little key material: in its message or, if it has none, in its first words.
bool speaks_of_exhaustion(ByteView body);

}  // namespace quipu::etsi
