"""Files on local disk and in Google Cloud Storage (`gs://bucket/name`), behind one small set of functions: `files`."""

from beam_pipelines.foundation.storage.files import (
    TEMPORARY_SUFFIX as TEMPORARY_SUFFIX,
)
from beam_pipelines.foundation.storage.files import (
    ChangedError as ChangedError,
)
from beam_pipelines.foundation.storage.files import (
    FileInfo as FileInfo,
)
from beam_pipelines.foundation.storage.files import (
    Generation as Generation,
)
from beam_pipelines.foundation.storage.files import (
    check_reachable as check_reachable,
)
from beam_pipelines.foundation.storage.files import (
    copy_tree as copy_tree,
)
from beam_pipelines.foundation.storage.files import (
    holds_files as holds_files,
)
from beam_pipelines.foundation.storage.files import (
    is_remote as is_remote,
)
from beam_pipelines.foundation.storage.files import (
    join as join,
)
from beam_pipelines.foundation.storage.files import (
    list_files as list_files,
)
from beam_pipelines.foundation.storage.files import (
    local_copy as local_copy,
)
from beam_pipelines.foundation.storage.files import (
    local_tree as local_tree,
)
from beam_pipelines.foundation.storage.files import (
    read_bytes as read_bytes,
)
from beam_pipelines.foundation.storage.files import (
    read_generation as read_generation,
)
from beam_pipelines.foundation.storage.files import (
    read_text as read_text,
)
from beam_pipelines.foundation.storage.files import (
    remove as remove,
)
from beam_pipelines.foundation.storage.files import (
    remove_unfinished as remove_unfinished,
)
from beam_pipelines.foundation.storage.files import (
    stat as stat,
)
from beam_pipelines.foundation.storage.files import (
    whole_file as whole_file,
)
from beam_pipelines.foundation.storage.files import (
    write_bytes as write_bytes,
)
from beam_pipelines.foundation.storage.files import (
    write_file as write_file,
)
from beam_pipelines.foundation.storage.files import (
    write_text as write_text,
)
