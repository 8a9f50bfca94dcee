"""`pixelis tune pipeline`: settings of the whole pipeline, searched by serving them beside what is served now."""
