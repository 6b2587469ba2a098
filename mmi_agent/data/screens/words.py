"""What stands on screens that are drawn: words of user interfaces, of English, of no language, names, numbers, dates.

Letters by chance are among them, so that whoever wants to know what is written has to read it.
"""

from random import Random
from string import ascii_letters, ascii_lowercase, digits

__all__ = ["letters", "number", "phrase", "sentence", "title", "value", "word"]

_INTERFACE = """
About Accept Account Actions Add Address Advanced Alerts All Allow Amount Apply Archive Attach Back Basket Billing Blog
Book Bookmarks Browse Buy Calendar Call Cancel Cart Category Chat Check Checkout City Clear Close Code Comments Company
Compose Confirm Contact Continue Copy Country Create Customer Cut Date Decline Default Delete Deny Department Details
Discard Display Done Download Draft Drafts Edit Email Enable Enter Events Exit Export Favorites Feedback File Files
Filter Find Finish First Folder Follow Format Forum Forward Friends Gallery General Groups Guest Help Hide History Home
Ignore Import Inbox Info Insert Install Invite Items Join Keep Label Language Last Later Layout Leave Library Like Link
List Load Location Login Logout Mail Manage Map Menu Merge Message Mode Month More Move Music Mute Name New News Next No
Notes Number OK Ok Open Options Order Orders Other Page Password Paste Pause Pay Payment Phone Photos Pin Play Post
Preview Previous Price Print Privacy Profile Projects Quantity Query Quit Rate Read Recent Refresh Register Reject
Remove Rename Reply Report Reset Restore Results Resume Retry Return Review Rules Run Sale Save Schedule Search Section
Security Select Send Settings Share Shop Show Sign Size Skip Sort Spam Start State Status Stop Store Street Submit
Subject Support Sync Tab Tags Tasks Team Terms Test Theme Time Title Today Tools Total Trash Travel Type Undo Update
Upgrade Upload User Users Username Video View Volume Watch Week Welcome Work Year Yes Zip Zoom
""".split()
_ENGLISH = """
able after again air always animal answer apple autumn baby bank bird blue boat bread bright brown butter cake camera
car chair cheese child circle clean clock cloud coat coffee cold corner cream cup dark day deep desk dinner doctor door
dream early earth east eight evening family far farm fast field fire fish five flower forest four friend fruit game
garden glass gold good grass green hand happy heavy hill horse hot hour house ice island juice key kind kitchen lake
large leaf letter light lion long lunch market meat milk mirror money moon morning mountain mouse night nine north old
one orange paper pen picture plant plate quick quiet rain red river road room round salt sand school sea seven sheep
ship shirt short silver six sky slow small snow soft soup south spoon spring star stone summer sun sweet table tall tea
ten three tiger train tree two under village warm water west white wide wind window winter wood yellow young zebra
""".split()
_LOREM = """
a ac adipiscing aenean aliquam aliquet amet ante arcu at augue bibendum blandit condimentum congue consectetur consequat
convallis cras cum curabitur cursus dapibus diam dictum dignissim dis dolor donec dui duis egestas eget eleifend
elementum elit enim erat eros et etiam eu euismod facilisi facilisis fames faucibus felis fermentum feugiat fringilla
fusce gravida habitant hac hendrerit iaculis id imperdiet in integer interdum ipsum justo lacinia lacus laoreet lectus
leo libero ligula lobortis lorem luctus maecenas magna malesuada massa mattis mauris metus mi molestie mollis morbi nam
nec neque nibh nisi nisl non nulla nunc odio orci ornare pellentesque pharetra placerat porta posuere potenti praesent
pretium proin pulvinar purus quam quis rhoncus risus rutrum sagittis sapien scelerisque sed sem semper sit sodales
suspendisse tellus tempor tempus tincidunt tortor turpis ullamcorper ultrices urna ut varius vel velit vestibulum vitae
vivamus viverra volutpat vulputate
""".split()
_NAMES = """
Adam Agnes Alan Alice Anna Ashley Ben Berta Boris Carla Carlos Cathy Clara Daniel Diana Dora Edgar Ella Emil Emma Erik
Eva Felix Flora Frank Gina Greta Hanna Harry Helen Hugo Ida Ines Ivan Jack Jane Jonas Julia Karl Kate Kim Lara Leo Lena
Linda Lucas Luis Maria Mark Martha Max Mia Nadia Nils Nora Olga Oscar Otto Paul Petra Quinn Rita Robin Rosa Ruth Sam
Sara Simon Sofia Stella Susan Tessa Theo Tom Ulla Uma Vera Victor Wanda Will Xenia Yara Yves Zoe
""".split()


def letters(chance: Random) -> str:
    """Letters and digits without a meaning, two to eight of them."""
    alphabet = chance.choice((ascii_lowercase, ascii_letters, ascii_letters, ascii_letters + digits))
    text = "".join(chance.choices(alphabet, k=chance.randint(2, 8)))
    return text.capitalize() if chance.random() < 0.3 else text


def number(chance: Random) -> str:
    """A number, a price, a time or a date."""
    pick = chance.random()
    if pick < 0.55:
        return str(chance.randint(0, 10 ** chance.randint(1, 4)))
    if pick < 0.65:
        return f"-{chance.randint(1, 99)}"
    if pick < 0.75:
        return f"${chance.randint(1, 999)}"
    if pick < 0.85:
        return f"{chance.randint(0, 23)}:{chance.randint(0, 59):02d}"
    return f"{chance.randint(1, 12):02d}/{chance.randint(1, 28):02d}/{chance.randint(1990, 2030)}"


def word(chance: Random) -> str:
    """One word of any kind."""
    pick = chance.random()
    if pick < 0.25:
        return letters(chance)
    return chance.choice(_INTERFACE if pick < 0.5 else _ENGLISH if pick < 0.7 else _LOREM if pick < 0.88 else _NAMES)


def title(chance: Random) -> str:
    """What a button, a field or a tab is called: one word or two."""
    pick = chance.random()
    if pick < 0.45:
        return chance.choice(_INTERFACE)
    if pick < 0.55:
        return f"{chance.choice(_INTERFACE)} {chance.choice(_ENGLISH)}"
    if pick < 0.6:
        return number(chance)
    text = word(chance)
    return text.capitalize() if chance.random() < 0.3 else text


def value(chance: Random) -> str:
    """What a field holds: words, letters, a number."""
    pick = chance.random()
    if pick < 0.3:
        return number(chance)
    if pick < 0.6:
        return letters(chance)
    return phrase(chance, chance.randint(1, 2))


def phrase(chance: Random, num_words: int) -> str:
    """So many words, without an end."""
    return " ".join(word(chance) for _ in range(num_words))


def sentence(chance: Random, num_words: int) -> str:
    """So many words with a capital and a full stop, here and there a comma."""
    source = chance.choice((_LOREM, _LOREM, _ENGLISH))
    words = [f"{each}," if chance.random() < 0.08 else each for each in chance.choices(source, k=num_words)]
    text = " ".join(words).rstrip(",")
    return f"{text[0].upper()}{text[1:]}."
