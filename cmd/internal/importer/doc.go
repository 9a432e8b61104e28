// Package importer writes a configuration of portico from those of keepalived
// and Traefik 1.7. Each line of it says where it comes from, and what has no
// counterpart, or was wrong in the source, is told.
package importer
