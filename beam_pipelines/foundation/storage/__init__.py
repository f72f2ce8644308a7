"""Files on local disk and in Google Cloud Storage (`gs://bucket/name`), behind one small set of functions: `files`."""

from beam_pipelines.foundation.storage.files import (
    TEMPORARY_SUFFIX as TEMPORARY_SUFFIX,
    ChangedError as ChangedError,
    FileInfo as FileInfo,
    Generation as Generation,
    check_reachable as check_reachable,
    copy_tree as copy_tree,
    holds_files as holds_files,
    is_remote as is_remote,
    join as join,
    local_copy as local_copy,
    local_tree as local_tree,
    read_bytes as read_bytes,
    read_generation as read_generation,
    read_json as read_json,
    read_text as read_text,
    remove as remove,
    remove_unfinished as remove_unfinished,
    stat as stat,
    whole_file as whole_file,
    write_bytes as write_bytes,
    write_file as write_file,
    write_text as write_text,
)
from beam_pipelines.foundation.storage.listing import (
    list_as_it_lies as list_as_it_lies,
    list_beside as list_beside,
    list_files as list_files,
    list_first as list_first,
)
