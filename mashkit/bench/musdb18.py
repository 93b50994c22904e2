"""The songs of MUSDB18, which most published separators were trained on; MUSDB18-HQ has the same songs.

Names are those of the dataset's folders (Rafii et al., MUSDB18: a corpus for music separation, 2017,
https://doi.org/10.5281/zenodo.1117372). Many songs come from MedleyDB, so other collections have them too.
"""

from __future__ import annotations

TRAINING = (
    "A Classic Education - NightOwl", "ANiMAL - Clinic A", "ANiMAL - Easy Tiger", "ANiMAL - Rockshow",
    "Actions - Devil's Words", "Actions - One Minute Smile", "Actions - South Of The Water", "Aimee Norwich - Child",
    "Alexander Ross - Goodbye Bolero", "Alexander Ross - Velvet Curtain", "Angela Thomas Wade - Milk Cow Blues",
    "Atlantis Bound - It Was My Fault For Waiting", "Auctioneer - Our Future Faces", "AvaLuna - Waterduct",
    "BigTroubles - Phantom", "Bill Chudziak - Children Of No-one", "Black Bloc - If You Want Success",
    "Celestial Shore - Die For Us", "Chris Durban - Celebrate", "Clara Berry And Wooldog - Air Traffic",
    "Clara Berry And Wooldog - Stella", "Clara Berry And Wooldog - Waltz For My Victims",
    "Cnoc An Tursa - Bannockburn", "Creepoid - OldTree", "Dark Ride - Burning Bridges",
    "Dreamers Of The Ghetto - Heavy Love", "Drumtracks - Ghost Bitch", "Faces On Film - Waiting For Ga",
    "Fergessen - Back From The Start", "Fergessen - Nos Palpitants", "Fergessen - The Wind", "Flags - 54",
    "Giselle - Moss", "Grants - PunchDrunk", "Helado Negro - Mitad Del Mundo", "Hezekiah Jones - Borrowed Heart",
    "Hollow Ground - Left Blind", "Hop Along - Sister Cities", "Invisible Familiars - Disturbing Wildlife",
    "James May - All Souls Moon", "James May - Dont Let Go", "James May - If You Say", "James May - On The Line",
    "Jay Menon - Through My Eyes", "Johnny Lokke - Promises & Lies", "Johnny Lokke - Whisper To A Scream",
    "Jokers, Jacks & Kings - Sea Of Leaves", "Leaf - Come Around", "Leaf - Summerghost", "Leaf - Wicked",
    "Lushlife - Toynbee Suite", "Matthew Entwistle - Dont You Ever", "Meaxic - Take A Step", "Meaxic - You Listen",
    "Music Delta - 80s Rock", "Music Delta - Beatles", "Music Delta - Britpop", "Music Delta - Country1",
    "Music Delta - Country2", "Music Delta - Disco", "Music Delta - Gospel", "Music Delta - Grunge",
    "Music Delta - Hendrix", "Music Delta - Punk", "Music Delta - Reggae", "Music Delta - Rock",
    "Music Delta - Rockabilly", "Night Panther - Fire", "North To Alaska - All The Same",
    "Patrick Talbot - A Reason To Leave", "Patrick Talbot - Set Me Free", "Phre The Eon - Everybody's Falling Apart",
    "Port St Willow - Stay Even", "Remember December - C U Next Time", "Secret Mountains - High Horse",
    "Skelpolu - Human Mistakes", "Skelpolu - Together Alone", "Snowmine - Curfews", "Spike Mullings - Mike's Sulking",
    "St Vitus - Word Gets Around", "Steven Clark - Bounty", "Strand Of Oaks - Spacestation",
    "Sweet Lights - You Let Me Down", "Swinging Steaks - Lost My Way", "The Districts - Vermont",
    "The Long Wait - Back Home To Blue", "The Scarlet Brand - Les Fleurs Du Mal", "The So So Glos - Emergency",
    "The Wrong'Uns - Rothko", "Tim Taler - Stalker", "Titanium - Haunted Age",
    "Traffic Experiment - Once More (With Feeling)", "Traffic Experiment - Sirens", "Triviul - Angelsaint",
    "Triviul - Dorothy", "Voelund - Comfort Lives In Belief", "Wall Of Death - Femme", "Young Griffo - Blood To Bone",
    "Young Griffo - Facade", "Young Griffo - Pennies",
)  # fmt: skip
"""The 100 songs of the training set. Some trainings stop by 14 of them, so no network is judged by these either."""

TEST = (
    "AM Contra - Heart Peripheral", "Al James - Schoolboy Facination", "Angels In Amplifiers - I'm Alright",
    "Arise - Run Run Run", "BKS - Bulldozer", "BKS - Too Much", "Ben Carrigan - We'll Talk About It All Tonight",
    "Bobby Nobody - Stitch Up", "Buitraker - Revo X", "Carlos Gonzalez - A Place For Us", "Cristina Vane - So Easy",
    "Detsky Sad - Walkie Talkie", "Enda Reilly - Cur An Long Ag Seol", "Forkupines - Semantics",
    "Georgia Wonder - Siren", "Girls Under Glass - We Feel Alright", "Hollow Ground - Ill Fate",
    "James Elder & Mark M Thompson - The English Actor", "Juliet's Rescue - Heartbeats",
    "Little Chicago's Finest - My Own", "Louis Cressy Band - Good Time", "Lyndsey Ollard - Catching Up",
    "M.E.R.C. Music - Knockout", "Moosmusic - Big Dummy Shake", "Motor Tapes - Shore", "Mu - Too Bright",
    "Nerve 9 - Pray For The Rain", "PR - Happy Daze", "PR - Oh No", "Punkdisco - Oral Hygiene", "Raft Monk - Tiring",
    "Sambasevam Shanmugam - Kaathaadi", "Secretariat - Borderline", "Secretariat - Over The Top",
    "Side Effects Project - Sing With Me", "Signe Jakobsen - What Have You Done To Me", "Skelpolu - Resurrection",
    "Speak Softly - Broken Man", "Speak Softly - Like Horses", "The Doppler Shift - Atrophy",
    "The Easton Ellises (Baumi) - SDRNR", "The Easton Ellises - Falcon 69", "The Long Wait - Dark Horses",
    "The Mountaineering Club - Mallory", "The Sunshine Garcia Band - For I Am The Moon", "Timboz - Pony",
    "Tom McKenzie - Directions", "Triviul feat. The Fiend - Widow", "We Fell From The Sky - Not You", "Zeno - Signs",
)  # fmt: skip
"""The 50 songs of the test set."""
