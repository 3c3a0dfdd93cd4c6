/* SPDX-License-Identifier: MIT
 *
 * llhttp's header, with its method names moved out of the way of ours (the values are not used). */
#ifndef QMN_NET_LLHTTP_PRIV_H
#define QMN_NET_LLHTTP_PRIV_H

#define HTTP_GET     LLHTTP_GET
#define HTTP_POST    LLHTTP_POST
#define HTTP_PUT     LLHTTP_PUT
#define HTTP_PATCH   LLHTTP_PATCH
#define HTTP_DELETE  LLHTTP_DELETE
#define HTTP_HEAD    LLHTTP_HEAD
#define HTTP_OPTIONS LLHTTP_OPTIONS
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_PATCH
#undef HTTP_DELETE
#undef HTTP_HEAD
#undef HTTP_OPTIONS

#endif
