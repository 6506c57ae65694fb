# shellcheck shell=sh disable=SC1007,SC2015,SC2034,SC2046,SC2086,SC2154 # parts of one text
# A machine that is not leased is marked all the same: what runs there leaves notes.
umask 077
bo_booted
mark
