"""Purchase histories from files: read, checked row by row, recorded by set."""
