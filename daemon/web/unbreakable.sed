# Puts unbreakable spaces into the French of a catalogue: U+00A0 before ":" and inside quotes, U+202F before ";", "?", "!".
/^msgid /,/^msgstr/{
	/^msgstr/!b
}
s/ :/\xc2\xa0:/g
s/ \([;?!]\)/\xe2\x80\xaf\1/g
s/« /«\xc2\xa0/g
s/ »/\xc2\xa0»/g
