# Puts the French of retentionctl's catalogue into the page's spelling: U+00A0 before a colon and inside quotes, U+202F
# before the other tall marks, U+2019 as the apostrophe.
/^msgid /,/^msgstr/{
	/^msgstr/!b
}
s/ :/\xc2\xa0:/g
s/ \([;?!]\)/\xe2\x80\xaf\1/g
s/« /«\xc2\xa0/g
s/ »/\xc2\xa0»/g
s/\([a-zA-Z]\)'\([^ ]\)/\1\xe2\x80\x99\2/g
