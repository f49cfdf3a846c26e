# blocks.awk -v folder=FOLDER README.md: writes each block of commands (```sh) of the section "Installing" into a file of
# FOLDER, SECTION-N, in which SECTION is the heading in small letters.  The first line of a file says where it stands.
# A block within a list is as far to the right as its fence.
/^## / { inside = $0 == "## Installing" }
/^### / {
	section = tolower(substr($0, 5))
	gsub(/[^a-z]+/, "-", section)
	n = 0
}
!inside { next }
file && $1 == "```" {
	close(file)
	file = ""
	next
}
file {
	print substr($0, margin + 1) >file
	next
}
$1 == "```sh" {
	margin = index($0, "`") - 1
	file = folder "/" section "-" ++n
	print "# README.md:" FNR + 1 >file
}
