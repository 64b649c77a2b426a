"""Sentences about faces, as different people write them, with the action units that each one names.

Each list was written, and its mentions noted, before the parser was first run on it; the README tells what it found
that first time. The parser's words were widened after each list, so what it finds now says less.

A mention is an AU number; a minus in front says that the sentence denies it; L, R or O in front says that it names the
left, the right, or one side; a word after a colon is the band of its intensity. What counts as a mention was settled
before any was noted:

- raised eyebrows are 1 and 2, only inner ends 1, only outer ends 2; a frown or scowl, and furrowed brows, are 4
- wide eyes are 5, narrowed eyes 7, closed eyes 43, crinkled eye corners and lifted cheeks 6
- a smile or grin is 12, a smirk one-sided 12, mouth corners down 15, a sneer 10, a pout or pursed lips 18
- parted lips and teeth that show are 25, a dropped jaw is 26, an open mouth is both
- pressed lips are 24, sucked-in lips 28, lips drawn sideways 20, a dimpled mouth corner 14, a pushed-up chin 17
- what a face could do, does elsewhere, or looks like at all times is no mention; nor are gaze, clenched teeth, tongue
"""

# Written before the parser.
FIRST = (
    ("He's grinning from ear to ear, cheeks pushed up, teeth on full display.", "12:extreme 6 25:extreme"),
    ("Her brows are knitted and her lips are pressed into a thin line.", "4 24"),
    ("No smile at all; the mouth is closed and the eyes look straight ahead.", "-12 -25 -26"),
    ("The inner corners of the eyebrows are pulled upward while the corners of the mouth turn down.", "1 15"),
    ("Wide eyes, raised brows, and a jaw that has dropped open.", "5 1 2 26"),
    ("The left corner of the mouth is tightened slightly, almost a smirk.", "L14:slight O12"),
    ("She has thick, dark eyebrows and full lips, but nothing on her face is moving.", ""),
    ("Mouth wide open, eyes shut tight, a yawn perhaps.", "25:extreme 26:extreme 43"),
    ("There is a subtle wrinkling of the nose and the upper lip is lifted.", "9:slight 10"),
    ("I don't see any frowning, just a faint smile.", "-4 12:slight"),
    ("The man raised his hand to his chin and looked away.", ""),
    ("Eyes narrowed to slits; the brows strongly lowered.", "7 4:pronounced"),
    ("Lips slightly apart but the jaw isn't dropped.", "25:slight -26"),
    ("Only the right eyebrow goes up.", "R1 R2"),
    ("The lower lip is pushed up by the chin and both lip corners sag.", "17 15"),
    ("He stares at the camera with a blank look, neither smiling nor scowling.", "-12 -4"),
    ("A big toothy smile with crow's feet around the eyes.", "12:pronounced 25 6"),
    ("Her lips are stretched back sideways as if pulled toward the ears.", "20"),
    ("Her lips are painted bright red and her nose is a little crooked.", ""),
    ("The lips are pursed as though about to whistle.", "18"),
    ("It is hard to say, the face is turned away and half in shadow.", ""),
    ("Brow lowered, upper lids lifted so that the eyes glare.", "4 5"),
    ("The baby's face is scrunched up: eyes squeezed shut, brows pulled together, mouth gaping.", "43 4 25 26"),
    ("One side of her upper lip curls into a sneer.", "O10"),
    ("The lips have been sucked in between the teeth.", "28"),
    ("He raised his voice and dropped his gaze, yet his forehead stays smooth.", ""),
    ("Without any widening of the eyes, the raised eyebrows look more curious than afraid.", "-5 1 2"),
    ("The smile does not reach the eyes: cheeks are not raised.", "12 -6"),
    ("Lower lip pulled down, baring the bottom teeth.", "16 25"),
    ("Mild tightening around the eyelids, nothing else to report.", "7:slight"),
    ("The brow is moderately furrowed, with a barely visible downturn of the lip corners.", "4:moderate 15:trace"),
    ("She pouts, chin bunched.", "18 17"),
    ("Both eyebrows shoot up and the mouth forms a small round O.", "1 2 25 26"),
    ("A tense jaw, teeth clenched, lips tight.", "24"),
    ("His closed collar and open jacket make him look relaxed.", ""),
    ("Not a trace of a frown, no lifted brows, no pressed lips.", "-4 -1 -2 -24"),
    ("If she smiled, the dimples in her cheeks would show.", ""),
    ("Dimpling at the right lip corner and a marked smirk to the same side.", "R14 R12:pronounced"),
    ("The eyelids droop until the eyes are nearly closed.", "43"),
    ("Outer ends of the brows lifted high, eyes opened wide, lips funnelled forward.", "2:pronounced 5 22"),
)

# Written after the parser knew the first list; in other registers: novels, clinic, police, forum, captions.
SECOND = (
    ("A crooked half-smile tugged at one side of his mouth.", "O12"),
    (
        "Patient presents with bilateral brow ptosis at baseline; on request she elevates both brows symmetrically.",
        "1 2",
    ),
    ("Suspect had a unibrow, a broken nose and was missing two front teeth.", ""),
    ("Her mouth fell open in astonishment.", "25 26"),
    ("his eyebrows are like waaay up and his eyes look huge", "1 2 5"),
    ("The toddler's bottom lip juts out and her chin quivers.", "18"),
    ("She wore the thin, tight-lipped look of someone counting to ten.", "24"),
    ("He gave me a lopsided grin and winked.", "O12"),
    ("A woman with her eyes closed and a serene, barely-there smile.", "43 12:trace"),
    ("Deep vertical lines between the eyebrows show how hard she is frowning.", "4:pronounced"),
    ("Nostrils flared, upper lip curled back, he bared his teeth.", "10 25"),
    ("I can't tell whether he is smiling.", ""),
    ("The corners of her mouth twitched upwards ever so slightly.", "12:slight"),
    ("Mouth agape, he gawked at the screen with eyes like saucers.", "25 26 5"),
    ("The forehead is relaxed and there's no tension around the eyes or mouth.", "-7"),
    ("There was nothing left of yesterday's grin.", "-12"),
    ("Eyelids at half-mast, he looked about to nod off.", "43"),
    ("The player grimaces as he lifts the bar over his head, jaw clenched.", ""),
    ("Her lips were pressed so tightly together that they had gone white.", "24:pronounced"),
    ("He cocked his left eyebrow, unimpressed.", "L1 L2"),
    ("Cheeks raised high, the eyes almost disappear in laughter lines.", "6:pronounced"),
    ("She wrinkled up her nose at the smell and pulled the corners of her lips down.", "9 15"),
    ("A man with a straight face: no raised eyebrow, no curl of the lip, not even a twitch.", "-1 -2 -10"),
    ("The old man's mouth is drawn down at both ends.", "15"),
    ("He blew out his cheeks and puckered up as if to kiss the camera.", "18"),
    ("The girl's eyes are wide with her brows drawn up and together.", "5 1 2 4"),
    ("Lips firmly closed, slight dimpling on the left side of the mouth.", "-25 L14:slight"),
    ("He lowered the newspaper, opened the door and closed it behind him.", ""),
    ("AU4 at C level, AU7 weak, no AU12.", "4:moderate 7:slight -12"),
    ("His scowl deepened, and he narrowed his eyes at the boy.", "4 7"),
    ("Her expression is flat, with unmoving brows and slack lips.", ""),
    ("The upper eyelids are retracted, exposing the white above the iris.", "5"),
    ("Biting her lower lip, she lifts only the inner part of her eyebrows.", "1"),
    ("He's smiling with his mouth but not with his eyes.", "12"),
    ("The lips form a funnel, as when saying 'oh', and the jaw has come down a little.", "22 26:slight"),
    ("A photograph of a bearded man in a raised collar; one of his lids is shut.", "O43"),
    (
        "The brows have come down hard over the eyes and the lips are stretched taut across the teeth.",
        "4:pronounced 20",
    ),
    ("She looks up at the ceiling, mouth slightly ajar.", "25:slight 26:slight"),
    ("Nothing in his face suggested fear; if anything, his lids hung low and heavy.", "43"),
    ("The smirk on the right half of her face vanished.", "-12"),
)

# Written after the parser knew the second list.
THIRD = (
    ("Oh, that face! Eyes like dinner plates, jaw on the floor.", "5 26"),
    ("Her left eye is winking shut while the right stays open.", "L43"),
    ("He is pulling a sour face, nose crinkled, upper lip hitched on the left.", "9 L10"),
    ("A slight upward slant of the inner eyebrows gives her a pleading look.", "1:slight"),
    ("No teeth are visible and the lips are together.", "-25 -25"),
    ("Only faint lines mark the corners of his eyes, and his mouth is straight.", "6:slight"),
    ("The baby frowned, then broke into a huge, gummy smile.", "4 12:pronounced"),
    ("Subject 14: moderate lip corner pull bilaterally, mild cheek raise, lips parted.", "12:moderate 6:slight 25"),
    ("She tightened her scarf, pressed the button and waited for the lift to come down.", ""),
    ("He has heavy eyebrows, a wide mouth, and a strong chin.", ""),
    ("His lower lip droops, showing the lower teeth.", "16 25"),
    ("My grandmother's thin lips stretch wide across her face when she is scared.", "20"),
    ("Brows pinched, eyes half shut against the sun, cheeks drawn up.", "4 43 6"),
    ("You can see that the muscles above the eyes pull the brows down hard.", "4:pronounced"),
    ("There isn't the least hint of a smile on her lips.", "-12"),
    ("The mouth hangs slightly open; otherwise the face is at rest.", "25:slight 26:slight"),
    ("He puffs out his cheeks and blows.", ""),
    ("Eyebrows lifted in the middle, mouth corners pointing to the floor: a sad clown.", "1 15"),
    ("One brow arched, the other lowered.", "O1 O2 O4"),
    ("The chin is wrinkled like a peach stone and the lower lip trembles.", "17"),
    ("A smile? Hardly.", ""),
    ("The man's lips are rolled in so that the red is gone.", "28"),
    ("Her upper lip pulls up, her brows come together, she looks disgusted.", "10 4"),
    ("With lips puckered and eyes crossed she tries to make the baby laugh.", "18"),
    ("His lips move as he reads, his eyes follow the line.", ""),
    ("The eyelids look tense, the brows are not lowered, though.", "7 -4"),
    ("Cheeks and nose are red from the cold.", ""),
    ("The right corner of the lips is tucked in and raised a touch, in scorn.", "R14 R12:slight"),
    ("She clamped her mouth shut and glared.", "24"),
    ("Both mouth corners are noticeably lower than usual.", "15:moderate"),
    ("He grinned broadly, without parting his lips.", "12:pronounced -25"),
    ("In this frame the jaw is open as wide as it goes.", "26:extreme"),
    ("Her brows rise, first the left and then the right one.", "1 2"),
    ("A yawn: mouth stretched open, eyes screwed shut.", "25 26 43"),
    ("Neither the brows nor the eyelids show any tension.", "-4 -7"),
    ("He looks sleepy, with drooping lids and a loose jaw.", "43 26"),
    ("Her smile lines are deep even though she isn't smiling right now.", "-12"),
    ("The lips are shaped as if to say 'oo', pushed forward a bit.", "18:slight"),
    ("Eyes popping, brows up to the hairline, lips parted.", "5 1 2 25"),
    ("His eyes are fixed on the ball, his tongue pokes out, his brow is furrowed with effort.", "4"),
)
