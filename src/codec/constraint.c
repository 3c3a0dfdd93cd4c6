/* SPDX-License-Identifier: MIT
 *
 * Patterns.  Matched by hand: four fixed shapes need no regular expression engine, whose cost an
 * attacker could choose.  The text form for documents stands beside each. */
#include "constraint.h"

static const char *const regexes[] = {
    [PATTERN_NONE] = NULL,
    [PATTERN_TENANT_ID] = "^[a-z0-9-]{3,64}$",
    [PATTERN_PRINTABLE] = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
    [PATTERN_TOKEN] = "^[A-Za-z0-9._:-]+$",
};

const char *constraint_pattern_regex(enum constraint_pattern pattern)
{
    return (unsigned)pattern < sizeof regexes / sizeof regexes[0] ? regexes[pattern] : NULL;
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_token_char(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':' ||
           c == '-';
}

static bool match_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        /* C1 controls are C2 80 .. C2 9F in UTF-8. */
        if (c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] <= 0x9f)
            return false;
    }
    return true;
}

bool constraint_pattern_match(enum constraint_pattern pattern, struct bytes text)
{
    switch (pattern) {
    case PATTERN_NONE:
        return true;
    case PATTERN_PRINTABLE:
        return match_printable(text);
    case PATTERN_TENANT_ID:
        for (size_t i = 0; i < text.len; i++)
            if (!is_lower_or_digit(text.ptr[i]) && text.ptr[i] != '-')
                return false;
        return text.len >= 3 && text.len <= 64;
    case PATTERN_TOKEN:
        for (size_t i = 0; i < text.len; i++)
            if (!is_token_char(text.ptr[i]))
                return false;
        return text.len > 0;
    }
    return false;
}
