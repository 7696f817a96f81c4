/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a file, as the platform sends them over MQTT. */
#include "adapters/dialects/alibaba/codec.h"

#define CRC 2 /* bytes of it, and of the length before the JSON */

uint16_t sb_alibaba_crc16(const void *bytes, size_t n)
{
    uint16_t crc = 0;
    for (const uint8_t *at = bytes; n > 0; n--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
    }
    return crc;
}

static int complain(struct sb_message *ret, const char *text)
{
    ret->error = strdup(text);
    return ret->error ? 0 : -ENOMEM;
}

static int take_data(const uint8_t *bytes, size_t n, struct sb_message *ret)
{
    int64_t size = sb_json_int(ret->body, "bSize", -1);
    if (n < CRC || size < 1 || size > (int64_t)SB_PIECE_MAX || (size_t)size != n - CRC)
        return complain(ret, "a block is not as long as it says");
    uint16_t crc = (uint16_t)(bytes[size] | bytes[size + 1] << 8);
    if (crc != sb_alibaba_crc16(bytes, (size_t)size))
        return complain(ret, "a block does not match its checksum");
    ret->data = malloc((size_t)size);
    if (!ret->data)
        return -ENOMEM;
    memcpy(ret->data, bytes, (size_t)size);
    ret->size = (size_t)size;
    return 0;
}

int sb_alibaba_read_frame(const void *payload, size_t n, struct sb_message *ret)
{
    const uint8_t *bytes = payload;
    size_t head = n >= CRC ? (size_t)(bytes[0] << 8 | bytes[1]) : 0;
    bool framed = n >= CRC && head <= n - CRC;
    if (!framed && (n == 0 || bytes[0] != '{')) /* a refusal may come as JSON alone */
        return complain(ret, "a block is cut off");
    int r = framed ? sb_alibaba_read_envelope(true, bytes + CRC, head, ret)
                   : sb_alibaba_read_envelope(true, payload, n, ret);
    if (r < 0 || ret->error || ret->code != SB_ALIBABA_OK)
        return r;
    return framed ? take_data(bytes + CRC + head, n - CRC - head, ret)
                  : complain(ret, "a block is no frame");
}
